"""What a report holds, before it is written as Markdown, LaTeX, CSV or HTML."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

NONE = "–"  # nothing to show; `missing` is for what should be there
MISSING = "missing"
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


def points(value: float) -> str:
    """A share of 1 as percent."""
    return f"{100 * value:.1f}"


def signed(value: float) -> str:
    """A difference of two shares in points, its sign always there."""
    return f"{100 * value:+.1f}".replace("-", "−")


def span(low: float, high: float, show: object = None) -> str:
    """An interval in percent, or of differences with `show=signed`."""
    text = signed if show is signed else points
    return f"{text(low)} to {text(high)}"


def p_value(p: float) -> str:
    """Three digits, or `< 0.001`."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def listed(words: Sequence[str]) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"
