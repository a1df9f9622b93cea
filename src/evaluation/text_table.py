"""Plain tables aligned for a terminal, and numbers as tables show them."""

from collections.abc import Callable, Sequence

from src.evaluation.intervals import Interval

NONE = "–"
"""Nothing to show."""


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns aligned left, two spaces apart, a rule under the header."""
    widths = [max(len(str(row[i])) for row in (header, *rows)) for i in range(len(header))]
    lines = [
        "  ".join(str(cell).ljust(width) for cell, width in zip(row, widths, strict=True)) for row in (header, *rows)
    ]
    lines.insert(1, "  ".join("-" * width for width in widths))
    return "\n".join(line.rstrip() for line in lines)


def points(value: float) -> str:
    """A share of 1 as percent."""
    return f"{100 * value:.1f}"


def signed(value: float) -> str:
    """A difference of two shares in points, its sign always there."""
    return f"{100 * value:+.1f}".replace("-", "−")


def span(interval: Interval | None, show: Callable[[float], str] = points) -> str:
    """An interval in percent, or of differences with `show=signed`; a dash where there is none."""
    return NONE if interval is None else f"{show(interval.low)} to {show(interval.high)}"
