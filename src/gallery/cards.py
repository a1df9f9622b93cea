"""A clip as a card: its picture, its sound, and what every seed said of it."""

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

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
