"""What a report holds, before it is written as Markdown, LaTeX, CSV or HTML."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from src.evaluation.intervals import Interval
from src.evaluation.text_table import NONE

MISSING = "missing"
"""Nothing to show where something should be."""
_NO_NUMBER = (MISSING, "error", "no number")


@dataclass(frozen=True)
class Table:
    """A table as text, and the same rows as data.

    Attributes:
        key: last part of its file's name; empty for the report's first table.
        header, rows: as a person reads them. data: the same rows, column to value, accuracies in percent unrounded.
        notes: what a reader must know.
    """

    key: str
    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    data: tuple[Mapping[str, object], ...]
    notes: tuple[str, ...] = ()

    def is_words(self, column: int) -> bool:
        """Whether a column holds words rather than numbers, and so is aligned left."""
        cells = (row[column] for row in self.rows)
        return any(cell[:1].isalpha() and not cell.startswith(_NO_NUMBER) for cell in cells)


@dataclass(frozen=True)
class Picture:
    """A figure, drawn.

    Attributes:
        key: name of its file without `.png`. png: its bytes. alt: what is to be seen. notes: what it was drawn from.
    """

    key: str
    title: str
    png: bytes
    alt: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Source:
    """The runs behind one cell.

    Attributes:
        cell: its name. made_by: picture, backbone, weights, head. runs: of each seed, its id, accuracy and commit.
    """

    cell: str
    origin: str
    made_by: str
    runs: tuple[tuple[int, str, float, str], ...]


@dataclass(frozen=True)
class Report:
    """One report.

    Attributes:
        name: as in `name=...`. notes: about all of it. missing: commands that make the runs it lacks.
        errors: comparisons and cells that give no number, and why. sources: of every cell shown.
    """

    name: str
    title: str
    tables: tuple[Table, ...] = ()
    pictures: tuple[Picture, ...] = ()
    notes: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    sources: tuple[Source, ...] = field(default=(), repr=False)


def percent(interval: Interval | None) -> tuple[float | None, float | None]:
    """Both ends of an interval in percent, unrounded."""
    return (None, None) if interval is None else (100 * interval.low, 100 * interval.high)


def p_value(p: float) -> str:
    """Three digits, or `< 0.001`; a dash where there is none."""
    if math.isnan(p):
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
