"""A table of clips: which files, under which labels, in which groups, parts and folds."""

import json
import logging
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from src.data.clip import Clip, Excerpt
from src.data.duplicates import connected
from src.data.folder import slug, text_of
from src.data.parts import part_of
from src.errors import UserError, printable

if TYPE_CHECKING:
    from pandas import DataFrame

log = logging.getLogger(__name__)

KINDS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
Role = Literal["file", "label", "group", "part", "fold", "start", "end"]
ROLES: tuple[Role, ...] = get_args(Role)
# What columns are usually called, the likelier first; `start` and `end` often mean a place in another file and are
# never guessed.
_USUAL = {
    "file": ("file", "filename", "file_name", "path", "filepath", "file_path", "fname", "audio", "clip", "wav"),
    "label": ("label", "class", "category", "class_name", "target_name", "species", "genre", "instrument", "target"),
    "group": ("group", "speaker", "speaker_id", "artist", "site", "recording", "recording_id", "session", "src_file"),
    "part": ("part", "split", "subset", "partition", "set"),
    "fold": ("fold", "folds"),
}
_SPANS = {
    "start": ("start", "start_time", "onset", "begin", "begin time (s)", "start_s", "from"),
    "end": ("end", "end_time", "offset", "end time (s)", "end_s", "to"),
}
AUTO = "auto"
_MORE = 10


@dataclass(frozen=True)
class TableSettings:
    """Which table, and what its columns are.

    Attributes:
        path: of the table. root: folder that its file names are relative to; empty: the table's own folder.
        columns: by role, a column's name, a list of columns that are joined, or for `file` a pattern of columns as in
            `audio/fold{fold}/{name}.wav`; `auto` is guessed, and None leaves a role out.
        where: column to the value, or the values, of the rows that are taken.
        classes: label to its other names; None: every label is a class.
        skip: leave out rows whose file is missing, instead of an error.
    """

    path: Path
    root: Path
    columns: Mapping[Role, str | list[str] | None]
    where: Mapping[str, Any]
    classes: Mapping[str, Sequence[str]] | None
    skip: bool


def read(settings: TableSettings) -> tuple[list[Clip], list[str]]:
    """The clips of a table, and notes on it.

    A clip with `start` or `end` is a part of its file; clips of one file are one group.

    Raises:
        UserError: the table cannot be read or lacks a column; or its rows name missing files, have no label, repeat
            each other or an unknown part: one error lists all of them.
    """
    shown = printable(settings.path)
    rows = _selected(_frame(settings.path), settings.where, shown)
    columns = _columns(list(rows.columns), settings, shown)
    guessed = ", ".join(f"{role}={_told(name)}" for role, name in columns.items() if settings.columns[role] == AUTO)
    log.info("%s: %d rows%s", shown, len(rows), f"; columns {guessed}" if guessed else "")
    problems = _Problems(shown)
    values = {role: _values(rows, name) for role, name in columns.items()}
    labels = _labels(values["label"], settings.classes, problems)
    spans = [_span(values, index, problems) for index in range(len(rows))]
    parts = _parts(values.get("part"), problems)
    clips: list[Clip] = []
    seen: dict[tuple[str, Excerpt | None], int] = {}
    left_out = 0
    for index, (name, label, span) in enumerate(zip(values["file"], labels, spans, strict=True)):
        path = settings.root / name
        key = (name, span)
        if not name:
            problems.add("no file name", index)
        elif key in seen:
            kind = "the same clip twice" if labels[seen[key]] == label else "one clip under two labels"
            problems.add(kind, index, f"{printable(name)}, as row {seen[key] + 2}")
        elif not path.is_file():
            left_out += settings.skip
            if not settings.skip:
                problems.add("no such file", index, printable(path))
        elif label:
            seen[key] = index
            clips.append(_clip(path, name, label, span, values, index, parts))
    problems.raise_any(_unused_spans(list(rows.columns), columns))
    if not clips:
        raise UserError(
            f"{shown}: no rows{' left of dataset.where' * bool(settings.where)}; expected one for each clip"
        )
    notes = [f"columns of {printable(settings.path.name)}: {_listed(columns)}"]
    notes += [f"left out {left_out} rows whose file is missing"] * bool(left_out)
    return _one_group_a_file(clips), notes


def _frame(path: Path) -> "DataFrame":
    import pandas as pd

    kind, shown = path.suffix.lower(), printable(path)
    if kind not in KINDS:
        raise UserError(f"dataset.table={shown}: expected a table that ends in {', '.join(KINDS)}")
    try:
        if kind == ".parquet":
            frame = pd.read_parquet(path)
        elif kind in (".jsonl", ".ndjson"):
            frame = pd.DataFrame(
                [json.loads(line) for line in path.read_text("utf-8-sig").splitlines() if line.strip()]
            )
        else:
            separator = "," if kind == ".csv" else "\t"
            frame = pd.read_csv(path, sep=separator, dtype=str, keep_default_na=False, encoding="utf-8-sig")
    except FileNotFoundError as error:
        raise UserError(f"dataset.table={shown}: not found") from error
    except (OSError, ValueError, TypeError) as error:  # pandas' and pyarrow's own errors are ValueErrors
        raise UserError(f"dataset.table={shown}: cannot be read as {kind[1:]} ({error})") from error
    frame.columns = [str(name).strip() for name in frame.columns]
    text: DataFrame = frame.map(_text)
    return text


def _text(value: Any) -> str:
    """A cell as a table in text would have it."""
    if value is None or value != value:  # noqa: PLR0124  # not a number
        return ""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value).strip()


def _selected(rows: "DataFrame", where: Mapping[str, Any], shown: str) -> "DataFrame":
    for column, wanted in where.items():
        if column not in rows.columns:
            raise UserError(_no_column(f"dataset.where.{column}", column, list(rows.columns), shown))
        values = [_text(value) for value in (wanted if isinstance(wanted, list | tuple) else [wanted])]
        chosen = rows[rows[column].isin(values)]
        if chosen.empty:
            known = ", ".join(sorted(set(rows[column]))[:_MORE])
            raise UserError(f"dataset.where.{column}={wanted}: no such row in {shown}; it has {known}")
        rows = chosen
    return rows


def _columns(names: Sequence[str], settings: TableSettings, shown: str) -> dict[Role, str | list[str]]:
    """The column, or columns, of each role."""
    found: dict[Role, str | list[str]] = {}
    folded = {name.casefold(): name for name in reversed(names)}
    for role in ROLES:
        chosen = settings.columns[role]
        if chosen is None:
            continue
        if chosen != AUTO:
            for name in _named(chosen):
                if name not in names:
                    raise UserError(_no_column(f"dataset.columns.{role}={_told(chosen)}", name, names, shown))
            found[role] = chosen
        elif usual := next((folded[name] for name in _USUAL.get(role, ()) if name in folded), None):
            found[role] = usual
    for role in ("file", "label"):
        if role not in found:
            raise UserError(
                f"{shown}: which column holds the {role}? Say so with dataset.columns.{role}=NAME; it has "
                f"{', '.join(names)}"
            )
    return found


def _unused_spans(names: Sequence[str], columns: Mapping[Role, str | list[str]]) -> str:
    """How to use columns that may say where clips start and end in their files; empty: there are none, or they are."""
    likely = {role: next((n for n in names if n.casefold() in _SPANS[role]), None) for role in ("start", "end")}
    if columns.keys() & {"start", "end"} or None in likely.values():
        return ""
    words = " ".join(f"'dataset.columns.{role}={name}'" for role, name in likely.items())
    return f"Where a file has several clips, columns say which part of it each is: {words}"


def _named(chosen: str | Sequence[str]) -> Sequence[str]:
    """The columns that a role reads."""
    if isinstance(chosen, str):
        return re.findall(r"\{([^}]*)\}", chosen) or [chosen]
    return chosen


def _no_column(setting: str, name: str, names: Sequence[str], shown: str) -> str:
    return f"{setting}: {shown} has no column {name!r}; it has {', '.join(names)}"


def _told(chosen: str | Sequence[str]) -> str:
    return chosen if isinstance(chosen, str) else f"[{','.join(chosen)}]"


def _listed(columns: Mapping[Role, str | list[str]]) -> str:
    return ", ".join(f"{role}={_told(name)}" for role, name in columns.items())


def _values(rows: "DataFrame", chosen: str | Sequence[str]) -> list[str]:
    """Each row's value of a role; several columns are joined."""
    if not isinstance(chosen, str):
        return [" ".join(row) for row in zip(*(rows[name] for name in chosen), strict=True)]
    if "{" not in chosen:
        return list(rows[chosen])
    pieces = re.split(r"\{([^}]*)\}", chosen)  # text and columns by turns
    columns = [rows[piece] if i % 2 else [piece] * len(rows) for i, piece in enumerate(pieces)]
    return ["".join(row) for row in zip(*columns, strict=True)]


class _Problems:
    """What is wrong with rows, by kind; rows are numbered as an editor does, with the header as row 1."""

    def __init__(self, shown: str) -> None:
        self._shown = shown
        self._rows: dict[str, list[str]] = {}

    def add(self, kind: str, index: int, what: str = "") -> None:
        self._rows.setdefault(kind, []).append(f"row {index + 2}{': ' * bool(what)}{what}")

    def raise_any(self, spans: str) -> None:
        """Raise one error with everything, if there is anything.

        Args:
            spans: how clips are cut out of their files, where rows name a file twice; empty: they are.
        """
        if not self._rows:
            return
        lines = []
        for kind, rows in self._rows.items():
            lines.append(f"  {kind} ({len(rows)}): " + "; ".join(rows[:_MORE]) + "; ..." * (len(rows) > _MORE))
        way_out = ""
        if "no such file" in self._rows:
            way_out = (
                "\nFile names are relative to dataset.root (empty: the table's folder); "
                "dataset.on_unreadable=skip leaves missing files out"
            )
        twice = {"the same clip twice", "one clip under two labels"} & self._rows.keys()
        if twice and spans:
            way_out += f"\n{spans}"
        elif "one clip under two labels" in twice:
            way_out += "\nA clip has one label: classifying with several labels a clip is not offered"
        raise UserError("\n".join((f"{self._shown}: rows that cannot be used", *lines)) + way_out)


def _labels(values: Sequence[str], classes: Mapping[str, Sequence[str]] | None, problems: _Problems) -> list[str]:
    """Slugged labels; empty where a row has none."""
    known = None
    if classes is not None:
        known = {slug(alias): label for label, others in classes.items() for alias in (label, *others)}
    labels = []
    for index, value in enumerate(values):
        label = slug(value) if value else ""
        if not label:
            problems.add("no label", index)
        elif known is not None and label not in known:
            problems.add("a label that dataset.classes has not", index, value)
        labels.append(known.get(label, "") if known is not None else label)
    return labels


def _span(values: Mapping[Role, Sequence[str]], index: int, problems: _Problems) -> Excerpt | None:
    """Start and end in seconds; None: the clip is its whole file, as dataset.start and dataset.duration cut it."""
    if "start" not in values and "end" not in values:
        return None
    texts = [values[role][index] if role in values else "" for role in ("start", "end")]
    try:
        start, end = (float(text) if text else None for text in texts)
    except ValueError:
        problems.add("start or end is no number of seconds", index, " to ".join(texts))
        return None
    start = start or 0.0
    if start < 0 or (end is not None and not end > start):
        problems.add("expected 0 <= start < end", index, " to ".join(texts))
        return None
    return start, end


def _parts(values: Sequence[str] | None, problems: _Problems) -> list[str | None] | None:
    """The part of each row; None where the column does not hold parts."""
    if values is None:
        return None
    names = Counter(values)
    found = part_of(names)
    if not any(found.values()):
        return None
    for index, value in enumerate(values):
        if found[value] is None:
            problems.add("neither train, validation nor test", index, value)
    return [found[value] for value in values]


def _clip(
    path: Path,
    name: str,
    label: str,
    span: Excerpt | None,
    values: Mapping[Role, Sequence[str]],
    index: int,
    parts: Sequence[str | None] | None,
) -> Clip:
    inside = text_of(Path(name).as_posix())
    group = text_of(values["group"][index]) if "group" in values else ""
    return Clip(
        path,
        label,
        f"{label}/{inside.removesuffix(text_of(path.suffix))}",
        group or None,
        part=None if parts is None else parts[index],  # type: ignore[arg-type]  # of part_of
        fold=values["fold"][index] or None if "fold" in values else None,
        excerpt=span,
    )


def _one_group_a_file(clips: Sequence[Clip]) -> list[Clip]:
    """Groups so that all excerpts of a file, and all files of a group, stay together."""
    if all(clip.excerpt is None for clip in clips):
        return list(clips)
    links = [[(1, str(clip.path)), *([(0, clip.group)] if clip.group is not None else [])] for clip in clips]
    roots = connected(links)
    found = []
    for clip, link in zip(clips, links, strict=True):
        kind, group = roots[link[0]]
        found.append(clip.grouped(group if kind == 0 else clip.name.partition("/")[2]))
    return found
