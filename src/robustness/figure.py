"""Curves of accuracy against each kind of disturbance: small multiples, one scale."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from src.robustness.curves import Point
from src.robustness.perturb import KINDS, Kind
from src.tracking.figures import FAINT, INK, NETWORK_COLOUR, canvas, png, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_COLUMNS = 3
_MOST_TICKS = 6


def draw(points: Sequence[Point], chance: float, title: str) -> bytes:
    """PNG of all curves.

    Args:
        points: as `measure` gives them, the undisturbed one first. chance: 0..1.
    """
    kinds = list(dict.fromkeys(point.disturbance.kind for point in points if point.disturbance is not None))
    columns = min(_COLUMNS, len(kinds))
    rows = -(-len(kinds) // columns)
    figure = canvas(0.6 + 2.9 * columns, 0.7 + 2.3 * rows)
    every = list(figure.subplots(rows, columns, sharey=True, squeeze=False).flat)
    for axes, name in zip(every, kinds, strict=False):
        _curve(axes, KINDS[name], _of(KINDS[name], points), points[0].accuracy, chance)
    for axes in every[len(kinds) :]:
        axes.set_visible(False)
    for axes in every[::columns]:
        axes.set_ylabel("accuracy, %", fontsize=9)
    figure.suptitle(title, fontsize=9.5, color=INK, x=0.01, ha="left")
    return png(figure)


def _of(kind: Kind, points: Sequence[Point]) -> list[tuple[float, Point]]:
    """Values and points of one curve in order, with the undisturbed one where a value stands for it."""
    found = [(p.disturbance.value, p) for p in points if p.disturbance is not None and p.disturbance.kind == kind.name]
    if kind.neutral is not None:
        found.append((kind.neutral, points[0]))
    return sorted(found, key=lambda pair: pair[0])


def _curve(axes: "Axes", kind: Kind, pairs: Sequence[tuple[float, Point]], undisturbed: float, chance: float) -> None:
    from matplotlib.ticker import NullFormatter, NullLocator

    values = [value for value, _ in pairs]
    accuracy = [100 * point.accuracy for _, point in pairs]
    if kind.ratio:
        axes.set_xscale("log")
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
    axes.axhline(100 * undisturbed, color=INK, linewidth=0.8, linestyle="--", zorder=1)
    axes.axhline(100 * chance, color=FAINT, linewidth=0.8, linestyle=":", zorder=1)
    intervals = [point.interval for _, point in pairs if point.interval is not None]
    if len(intervals) == len(pairs):
        low, high = ([100 * getattr(interval, end) for interval in intervals] for end in ("low", "high"))
        axes.fill_between(values, low, high, color=NETWORK_COLOUR, alpha=0.18, linewidth=0, zorder=2)
    axes.plot(values, accuracy, color=NETWORK_COLOUR, marker="o", markersize=3.5, linewidth=1.4, zorder=3)
    every = -(-len(values) // _MOST_TICKS)
    shown = values[::-1][::every][::-1]
    axes.set_xticks(shown, [_text(value) for value in shown])
    axes.set_ylim(0, 103)
    axes.set_title(kind.title, fontsize=9.5, color=INK, loc="left")
    axes.set_xlabel(kind.unit or "of its length", fontsize=8.5)
    tidy(axes)
    axes.tick_params(labelleft=True)
    place = axes.get_subplotspec()
    if place is not None and place.is_first_col() and place.is_first_row():
        end = axes.get_yaxis_transform()
        axes.text(0.02, 100 * undisturbed + 1.5, "undisturbed", transform=end, fontsize=7, color=INK, va="bottom")
        axes.text(
            0.02, 100 * chance - 1.5, "always the largest class", transform=end, fontsize=7, color=FAINT, va="top"
        )


def _text(value: float) -> str:
    return f"{value / 1000:g}k" if value >= 1000 else f"{value:g}".replace("-", "−")
