"""The error gallery: one HTML file that needs nothing beside it and asks nothing of the network."""

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from src.errors import escape_html as escape
from src.gallery.judged import Judged
from src.gallery.media import Shown

_CLASSES_SHOWN = 4


@dataclass
class Cards:
    """Cards of clips; a clip that appears again shares its picture and its sound with its first card.

    Attributes:
        shown: picture and sound by clip id.
    """

    judged: Judged
    shown: Mapping[str, Shown]
    _begun: set[int] = field(default_factory=set)

    def pictures(self) -> str:
        """All pictures, once, to be referred to; goes before any card."""
        images = []
        for number, name in enumerate(self.judged.ids):
            shown = self.shown.get(name)
            if shown is not None and shown.webp:
                content = base64.b64encode(shown.webp).decode("ascii")
                images.append(
                    f'<image id="picture-{number}" width="300" height="120" preserveAspectRatio="none" '
                    f'href="data:image/webp;base64,{content}"/>'
                )
        return f'<svg class="store" aria-hidden="true"><defs>{"".join(images)}</defs></svg>'

    def card(self, clip: int) -> str:
        """One clip."""
        judged = self.judged
        name, shown = judged.ids[clip], self.shown.get(judged.ids[clip], Shown())
        first = clip not in self._begun
        self._begun.add(clip)
        anchor = f' id="clip-{clip}"' if first else ""
        facts = [f"{judged.seconds[clip]:.1f} s"] if np.isfinite(judged.seconds[clip]) else []
        facts += [f"group {judged.groups[clip]}"] if judged.groups[clip] else []
        parts = [
            f'<article class="card"{anchor}><h4>{_breakable(name)}</h4>',
            f'<p class="verdict">{self._verdict(clip)}</p>',
            self._picture(clip, shown),
            self._player(clip, shown, first=first),
            self._odds(clip),
            f'<p class="facts">{escape(" · ".join(facts))}</p>' if facts else "",
            "</article>",
        ]
        return "".join(parts)

    def _verdict(self, clip: int) -> str:
        judged = self.judged
        true = judged.targets[clip]
        votes = np.bincount(judged.said[:, clip], minlength=len(judged.classes))
        told = [
            f"{'' if len(judged.seeds) == 1 else f'{votes[i]} × '}<b>{escape(judged.classes[i])}</b>"
            for i in sorted(np.flatnonzero(votes), key=lambda i: (-votes[i], i))
        ]
        right = votes[true] == len(judged.seeds)
        tag = "good" if right else "open" if votes[true] else "bad"
        word = "right" if right else "disputed" if votes[true] else "wrong"
        return (
            f'<span class="tag {tag}">{word}</span> true <b>{escape(judged.classes[true])}</b>, '
            f"heard as {', '.join(told)}"
        )

    def _picture(self, clip: int, shown: Shown) -> str:
        if not shown.webp:
            told = shown.trouble or "not shown"
            return f'<p class="none">No picture: {escape(told)}.</p>'
        marks = "".join(
            f'<text x="27" y="{4 + 120 * height:.1f}" text-anchor="end">{escape(text)}</text>'
            f'<line x1="29" x2="32" y1="{1 + 120 * height:.1f}" y2="{1 + 120 * height:.1f}"/>'
            for text, height in shown.ticks
        )
        alt = escape(f"Spectrogram of {self.judged.ids[clip]}")
        return (
            f'<svg class="picture" viewBox="0 0 334 122" role="img" aria-label="{alt}">'
            f'{marks}<use href="#picture-{clip}" x="33" y="1"/></svg>'
        )

    def _player(self, clip: int, shown: Shown, *, first: bool) -> str:
        if not shown.sound:
            return ""
        label = escape(f"Sound of {self.judged.ids[clip]}")
        cut = "" if shown.whole else '<p class="facts">The sound is cut short.</p>'
        if not first:
            there = f'<noscript><a href="#clip-{clip}">Its player</a></noscript>'
            return f'<audio controls preload="none" aria-label="{label}" data-of="sound-{clip}"></audio>{there}{cut}'
        address = shown.sound
        if isinstance(address, bytes):
            address = f"data:audio/mpeg;base64,{base64.b64encode(address).decode('ascii')}"
        player = f'<audio controls preload="none" aria-label="{label}" id="sound-{clip}" src="{escape(address)}">'
        return f"{player}</audio>{cut}"

    def _odds(self, clip: int) -> str:
        judged = self.judged
        chances = judged.probabilities[:, clip]
        mean = chances.mean(axis=0)
        needed = {int(judged.targets[clip]), *map(int, judged.said[:, clip])}
        likely = [int(i) for i in np.argsort(-mean, kind="stable")]
        chosen = [i for i in likely if i in needed]
        chosen += [i for i in likely if i not in needed][: max(0, _CLASSES_SHOWN - len(chosen))]
        rows = "".join(self._row(clip, i, chances[:, i]) for i in sorted(chosen, key=lambda i: -mean[i]))
        return (
            '<table class="odds"><colgroup><col class="name"><col><col class="mean"></colgroup>'
            '<thead class="unseen"><tr><th>class</th><th>each seed</th><th>mean</th></tr></thead>'
            f"<tbody>{rows}</tbody></table>"
        )

    def _row(self, clip: int, number: int, chances: np.ndarray) -> str:
        """A class's probability under each seed, as dots from 0 to 100 %."""
        judged = self.judged
        true = number == judged.targets[clip]
        each = "; ".join(f"seed {seed}: {100 * p:.1f} %" for seed, p in zip(judged.seeds, chances, strict=True))
        dots = "".join(f'<circle cx="{4 + 92 * p:.1f}" cy="6" r="3.4"/>' for p in chances)
        mark = ' <span class="true">true</span>' if true else ""
        name = f'<th scope="row">{escape(judged.classes[number])}{mark}</th>'
        drawn = f'<svg class="dots" viewBox="0 0 100 12" role="img" aria-label="{escape(each)}">'
        drawn += f'<title>{escape(each)}</title><line x1="4" x2="96" y1="6" y2="6"/>{dots}</svg>'
        kind = "is-true" if true else "is-other"
        return f'<tr class="{kind}">{name}<td>{drawn}</td><td>{100 * chances.mean():.0f} %</td></tr>'


def _breakable(name: str) -> str:
    """A path that may wrap after its separators."""
    return escape(name).replace("/", "/<wbr>").replace("_", "_<wbr>")


_HERE = Path(__file__).resolve().parent
_REPORT_STYLE = _HERE.parent / "report" / "page.css"
_SHADES = 8
_MOST_COLUMNS = 40
"""Of the confusion matrix. Above it a row names the classes that its clips were most often taken for."""
_MOST_NAMED = 3
_MOST_CELLS = 400
"""Of the matrix whose clips the page shows."""


@dataclass(frozen=True)
class Told:
    """What the page says around the clips.

    Attributes:
        title: of the page. lead: paragraphs below it. notes: what a reader must know. runs: seed, id, accuracy of each.
        limit: most clips shown in one place.
    """

    title: str
    lead: tuple[str, ...]
    notes: tuple[str, ...]
    runs: tuple[tuple[int, str, float], ...]
    limit: int


def page(judged: Judged, cards: Cards, told: Told) -> str:
    """The page."""
    style = _REPORT_STYLE.read_text("utf8") + (_HERE / "gallery.css").read_text("utf8")
    script = (_HERE / "gallery.js").read_text("utf8")
    # No address but what lies in the page, or beside it where sounds are linked; no script but this one.
    policy = (
        f"default-src 'none'; img-src data:; media-src data: 'self' file:; style-src '{_digest(style)}'; "
        f"script-src '{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )
    lead = "".join(f'<p class="lead">{escape(text)}</p>' for text in told.lead)
    notes = "".join(f"<li>{escape(text)}</li>" for text in told.notes)
    sections = (_matrix(judged), *_lists(judged, cards, told.limit), _cells(judged, cards, told.limit), _runs(told))
    links = "".join(f'<li><a href="#{name}">{text}</a></li>' for name, text in _CONTENTS)
    body = "\n".join(sections)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(told.title)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f'<header><h1>{escape(told.title)}</h1>{lead}{_tiles(judged)}<ul class="notes">{notes}</ul></header>\n'
        f'<nav aria-label="Contents"><ul>{links}</ul></nav>\n{cards.pictures()}\n<main>\n{body}\n</main>\n'
        f"<script>{script}</script>\n</body>\n</html>\n"
    )


_CONTENTS = (
    ("matrix", "Confusion matrix"),
    ("confident", "Most confidently wrong"),
    ("always", "Wrong for every seed"),
    ("disputed", "Seeds disagree"),
    ("cells", "Clips by cell"),
    ("runs", "Runs"),
)


def _digest(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode('ascii')}"


def _tiles(judged: Judged) -> str:
    accuracies = 100 * (1 - judged.wrong.mean(axis=1))
    spread = f" ± {accuracies.std(ddof=1):.1f}" if len(accuracies) > 1 else ""
    seeds = len(judged.seeds)
    facts = (
        (f"{accuracies.mean():.1f}{spread} %", f"accuracy over {seeds} seed{'s' * (seeds > 1)}"),
        (str(len(judged.ids)), "test clips"),
        (str(len(judged.always_wrong())), "wrong for every seed"),
        (str(len(judged.disputed())), "seeds disagree"),
    )
    tiles = "".join(f"<div><dt>{escape(text)}</dt><dd>{escape(value)}</dd></div>" for value, text in facts)
    return f'<dl class="tiles">{tiles}</dl>'


def _shown_cells(confusion: np.ndarray) -> list[tuple[int, int]]:
    """Cells of the matrix whose clips are shown: mistakes first, the most frequent first."""
    pairs = ((int(i), int(j)) for i, j in np.argwhere(confusion > 0))
    return sorted(pairs, key=lambda pair: (pair[0] == pair[1], -confusion[pair], pair))[:_MOST_CELLS]


def _matrix(judged: Judged) -> str:
    confusion = judged.confusion()
    linked = set(_shown_cells(confusion))
    if len(judged.classes) > _MOST_COLUMNS:
        return _long_matrix(judged, confusion, linked)
    head = "".join(f'<th scope="col"><span>{escape(name)}</span></th>' for name in judged.classes)
    rows = "".join(_matrix_row(judged, confusion, linked, true) for true in range(len(judged.classes)))
    several = ", a mean over seeds" if len(judged.seeds) > 1 else ""
    return (
        '<section id="matrix"><h2>Confusion matrix</h2><p class="lead">Rows: what the clips are. Columns: what they '
        f"were taken for. Numbers: test clips{several}. A number opens its clips.</p>"
        '<div class="scroll matrix"><table><caption class="unseen">Confusion matrix</caption><thead><tr>'
        f'<th scope="col">true class</th>{head}<th scope="col">recall</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div></section>"
    )


def _long_matrix(judged: Judged, confusion: np.ndarray, linked: set[tuple[int, int]]) -> str:
    """A row a class, for more classes than a page has room for columns; the classes most often missed first."""
    missed = confusion.sum(axis=1) - confusion.diagonal()
    rows = []
    for true in np.argsort(-missed, kind="stable"):
        total, right = float(confusion[true].sum()), float(confusion[true, true])
        others = [j for j in np.argsort(-confusion[true], kind="stable")[: _MOST_NAMED + 1] if j != true]
        named = ", ".join(
            f"{escape(judged.classes[j])} {_link(linked, int(true), int(j), _count(confusion[true, j]))}"
            for j in others[:_MOST_NAMED]
            if confusion[true, j] > 0
        )
        recall = f"{100 * right / total:.0f} %" if total else "no clips"
        rows.append(
            f'<tr><th scope="row">{escape(judged.classes[true])}</th><td>{_count(total)}</td>'
            f'<td>{_link(linked, int(true), int(true), _count(right))}</td><td class="word">{named}</td>'
            f'<td class="recall">{recall}</td></tr>'
        )
    several = ", means over seeds" if len(judged.seeds) > 1 else ""
    return (
        '<section id="matrix"><h2>Confusion matrix</h2><p class="lead">'
        f"{len(judged.classes)} classes, the most often missed first; the run's confusion.csv holds every pair. "
        f"Numbers: test clips{several}. A number opens its clips.</p>"
        '<div class="scroll"><table><caption class="unseen">Confusion matrix</caption><thead><tr>'
        '<th scope="col">true class</th><th scope="col">clips</th><th scope="col">right</th>'
        '<th scope="col">most often taken for</th><th scope="col">recall</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div></section>"
    )


def _link(linked: set[tuple[int, int]], true: int, chosen: int, text: str) -> str:
    """Text that opens the clips of a cell, where the page shows them."""
    return f'<a href="#cell-{true}-{chosen}">{text}</a>' if (true, chosen) in linked else text


def _matrix_row(judged: Judged, confusion: np.ndarray, linked: set[tuple[int, int]], true: int) -> str:
    total = float(confusion[true].sum())
    cells = []
    for chosen, count in enumerate(confusion[true]):
        if count == 0:
            cells.append('<td class="nothing">·</td>')
            continue
        kind = "hit" if chosen == true else "miss"
        shade = max(1, round(_SHADES * count / total))
        label = f"{judged.classes[true]} taken for {judged.classes[chosen]}: {_count(count)} of {_count(total)} clips"
        text = _count(count)
        if (true, chosen) in linked:
            text = f'<a href="#cell-{true}-{chosen}" aria-label="{escape(label)}">{text}</a>'
        cells.append(f'<td class="{kind} {kind}-{shade}">{text}</td>')
    recall = f"{100 * confusion[true, true] / total:.0f} %" if total else "no clips"
    name = escape(judged.classes[true])
    return f'<tr><th scope="row">{name}</th>{"".join(cells)}<td class="recall">{recall}</td></tr>'


def _lists(judged: Judged, cards: Cards, limit: int) -> list[str]:
    several = len(judged.seeds) > 1
    one = "This run has one seed; runs of others would tell whether these mistakes are its own."
    return [
        _list("confident", judged.confidently_wrong(), cards, limit,
              "Most seeds get these wrong; the wrong class that they hold most probable, on average, orders them.",
              "Nothing was got wrong by most seeds."),
        _list("always", judged.always_wrong(), cards, limit,
              "Whatever the seed, these are wrong: look for a wrong label, a strange recording, or a class that the "
              "picture does not show.", "Every clip is got right by some seed.") if several
        else _list("always", [], cards, limit, "", one),
        _list("disputed", judged.disputed(), cards, limit,
              "Seeds put these into different classes, the most evenly divided first: they lie near a border.",
              "All seeds agree on every clip." if several else one),
    ]  # fmt: skip


def _list(name: str, clips: Sequence[int], cards: Cards, limit: int, lead: str, nothing: str) -> str:
    title = escape(dict(_CONTENTS)[name])
    if not clips:
        return f'<section id="{name}"><h2>{title}</h2><p class="lead">{escape(nothing)}</p></section>'
    return (
        f'<section id="{name}"><h2>{title} <span class="count">{len(clips)}</span></h2>'
        f'<p class="lead">{escape(lead)}</p>{_some(clips, cards, limit)}</section>'
    )


def _cells(judged: Judged, cards: Cards, limit: int) -> str:
    """A fold for each cell of the matrix that has clips, mistakes first."""
    confusion = judged.confusion()
    folds = []
    for true, chosen in _shown_cells(confusion):
        clips = judged.in_cell(true, chosen)
        name, other = (escape(judged.classes[i]) for i in (true, chosen))
        what = f"<b>{name}</b>, got right" if true == chosen else f"<b>{name}</b> taken for <b>{other}</b>"
        folds.append(
            f'<details class="cell" id="cell-{true}-{chosen}"><summary>{what} '
            f'<span class="count">{len(clips)}</span></summary>{_some(clips, cards, limit)}</details>'
        )
    left = int((confusion > 0).sum()) - len(folds)
    if left:
        folds.append(f'<p class="note">And {left} more cells, of fewer clips or got right, not shown.</p>')
    return (
        '<section id="cells"><h2>Clips by cell</h2><p class="lead">A clip stands in every cell that a seed put it '
        f"into. Of those got right, the least sure come first.</p>{''.join(folds)}</section>"
    )


def _some(clips: Sequence[int], cards: Cards, limit: int) -> str:
    shown = "".join(cards.card(clip) for clip in clips[:limit])
    more = f'<p class="note">And {len(clips) - limit} more, not shown (media.cell).</p>' if len(clips) > limit else ""
    return f'<div class="cards">{shown}</div>{more}'


def _runs(told: Told) -> str:
    rows = "".join(
        f'<tr><td class="word">{seed}</td><td class="word"><code>{escape(run)}</code></td>'
        f"<td>{100 * accuracy:.2f}</td></tr>"
        for seed, run, accuracy in told.runs
    )
    command = escape(f"python -m src.explain run={told.runs[0][1]} audio=FILE out=FOLDER")
    return (
        '<section id="runs"><h2>Runs</h2><div class="scroll"><table class="runs"><thead><tr><th class="word">seed</th>'
        f'<th class="word">MLflow run</th><th>accuracy, %</th></tr></thead><tbody>{rows}</tbody></table></div>'
        f'<p class="note">What one of these decisions rests on, to see and to hear: <code>{command}</code></p>'
        "</section>"
    )


def _count(value: float) -> str:
    return f"{value:.0f}" if abs(value - round(value)) < 1e-9 else f"{value:.1f}"
