"""Figures 4 and 5: accuracy of network and baseline on every dataset."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from src.report import scored_cells as desks
from src.report.document import Picture, Report
from src.report.scored_cells import BASELINE, NETWORK, Row, ScoredCells
from src.tracking.figures import BASELINE_COLOUR, FAINT, INK, NETWORK_COLOUR, canvas, png, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

EXPERIMENTS = {"table2_network": NETWORK, "table2_baseline": BASELINE}
_COLOURS = {NETWORK: NETWORK_COLOUR, BASELINE: BASELINE_COLOUR}
_WIDTH = 0.38


def bars(desk: ScoredCells, name: str, condition: str) -> Report:
    """Bars with their 95 % intervals, the paper's value as a mark on each; a stand-in's bars are hatched."""
    titles = list(dict.fromkeys(row.cell.wanted.title for row in desk.of(*EXPERIMENTS)))
    rows = [[desk.find(experiment, title, condition) for title in titles] for experiment in EXPERIMENTS]
    figure = draw(titles, rows)
    cells = [row.cell for found in rows for row in found if row is not None]
    number = name.removeprefix("figure")
    title = f"Figure {number}: accuracy on {condition} clips"
    told = "Bars: our accuracy, mean over seeds, with its 95 % interval (docs/statistics.md). "
    notes = (told + "Marks: the paper's values. Hatched: rendered stand-ins, not the paper's data.",)
    alt = f"Accuracy of network and baseline on each dataset, {condition}"
    return Report(
        name,
        title,
        pictures=(Picture(name, title, png(figure), alt, notes),),
        notes=desks.remarks(cells),
        missing=desks.missing(cells),
        errors=desks.errors(cells),
        sources=desks.sources(cells),
    )


def draw(titles: Sequence[str], rows: Sequence[Sequence[Row | None]]) -> "Figure":
    """Two bars a dataset: the network's rows first, then the baseline's, each in the order of the titles."""
    figure = canvas(10.5, 4.4)
    axes = figure.add_subplot()
    for offset, kind, found in zip((-_WIDTH / 2, _WIDTH / 2), EXPERIMENTS.values(), rows, strict=True):
        for position, row in enumerate(found):
            if row is not None:
                _bar(axes, position + offset, kind, row)
    _frame(axes, titles, [row for found in rows for row in found if row is not None])
    return figure


def _bar(axes: "Axes", x: float, kind: str, row: Row) -> None:
    if row.paper is not None:
        axes.plot(x, 100 * row.paper.value, marker="D", color="white", markeredgecolor=INK, markersize=5, zorder=4)
    if row.score is None:
        axes.text(x, 2, "missing", rotation=90, ha="center", va="bottom", fontsize=7, color=FAINT)
        return
    height, interval = 100 * row.score.accuracy, row.score.interval
    rendered = row.cell.origin == "rendered"
    axes.bar(
        x, height, _WIDTH * 0.94, color=_COLOURS[kind], alpha=0.75 if rendered else 1.0,
        hatch="///" if rendered else None, edgecolor="white", linewidth=0.5, zorder=2,
    )  # fmt: skip
    if interval is not None:
        reach = [[max(0.0, height - 100 * interval.low)], [max(0.0, 100 * interval.high - height)]]
        axes.errorbar(x, height, yerr=reach, color=INK, elinewidth=0.9, capsize=2, zorder=3)
    box = {"facecolor": _COLOURS[kind], "edgecolor": "none", "pad": 1.5}
    axes.text(x, 3, f"{height:.1f}", ha="center", va="bottom", fontsize=7.5, color="white", zorder=5, bbox=box)


def _frame(axes: "Axes", titles: Sequence[str], rows: Sequence[Row]) -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    origins = {row.cell.wanted.title: row.cell.origin for row in rows if row.cell.origin}
    labels = [f"{title.replace('_', ' ')}\n{origins.get(title, '')}" for title in titles]
    axes.set_xticks(range(len(titles)), labels, fontsize=8)
    axes.set_ylim(0, 104)
    axes.set_xlim(-0.6, len(titles) - 0.4)
    axes.set_ylabel("accuracy, %", fontsize=9)
    axes.yaxis.grid(visible=True, color="#dddddd", linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    tidy(axes)
    handles: list[Patch | Line2D] = [Patch(facecolor=_COLOURS[kind], label=kind) for kind in EXPERIMENTS.values()]
    handles.append(
        Line2D([], [], marker="D", color="white", markeredgecolor=INK, markersize=5, label="the paper's value")
    )
    if "rendered" in origins.values():
        handles.append(Patch(facecolor="#bbbbbb", hatch="///", edgecolor="white", label="rendered stand-in"))
    axes.legend(handles=handles, loc="upper center", bbox_to_anchor=(0.5, 1.12), ncols=4, fontsize=8.5, frameon=False)
