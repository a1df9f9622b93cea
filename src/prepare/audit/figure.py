"""An audit's report as a picture: how loud the classes are, and what can be predicted without hearing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from src.prepare.audit.census import ClassCensus, Spread
from src.prepare.audit.report import Report

_RECORDED, _NORMALIZED, _WARNING, _FINE, _INK = "#3b6ea5", "#8fbcdb", "#d1603d", "#b8bec4", "#30363c"
_MOST_CLASSES = 40
_CONDITIONS: tuple[tuple[str, str, Callable[[ClassCensus], Spread]], ...] = (
    ("unprocessed", _RECORDED, lambda one: one.rms),
    ("normalized", _NORMALIZED, lambda one: one.rms_normalized),
)


def draw(report: Report, path: Path) -> None:
    """Boxes of RMS per class for both conditions, and a bar with interval for each probe with chance beside it."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    classes = _chosen(report.classes)
    height = max(3.4, 1.3 + 0.55 * len(classes))
    figure = Figure(figsize=(11, height), layout=ConstrainedLayoutEngine(w_pad=0.12))
    FigureCanvasAgg(figure)
    loudness, probes = figure.subplots(1, 2, width_ratios=[1.15, 1])
    figure.suptitle(f"{report.dataset}  ·  split {report.split['name']}", color=_INK, fontsize=12, x=0.01, ha="left")
    _draw_loudness(loudness, classes)
    if len(classes) < len(report.classes):
        title = (
            f"Loudness: the {len(classes) // 2} quietest and the {len(classes) // 2} loudest of {len(report.classes)}"
        )
        loudness.set_title(title, loc="left", fontsize=10, color=_INK)
    _draw_probes(probes, report)
    for axes in (loudness, probes):
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0, labelcolor=_INK)
        axes.tick_params(axis="x", colors=_INK)
    figure.savefig(path, dpi=120)


def _chosen(classes: tuple[ClassCensus, ...]) -> tuple[ClassCensus, ...]:
    """All classes, or the quietest and the loudest of more than a picture has room for."""
    if len(classes) <= _MOST_CLASSES:
        return classes
    by_loudness = sorted(classes, key=lambda one: (one.rms.mean, one.label))
    return tuple(by_loudness[: _MOST_CLASSES // 2] + by_loudness[-_MOST_CLASSES // 2 :])


def _draw_loudness(axes: Any, classes: tuple[ClassCensus, ...]) -> None:
    for shift, (name, colour, spread) in zip((-0.15, 0.15), _CONDITIONS, strict=True):
        stats = [_box(spread(one)) for one in classes]
        axes.bxp(
            stats,
            positions=[i + shift for i in range(len(classes))],
            widths=0.26,
            orientation="horizontal",
            showfliers=False,
            showmeans=True,
            patch_artist=True,
            manage_ticks=False,
            boxprops={"facecolor": colour, "edgecolor": "none", "label": name},
            medianprops={"color": "white", "linewidth": 1.6},
            meanprops={"marker": "o", "markersize": 3.5, "markerfacecolor": _INK, "markeredgecolor": "none"},
            whiskerprops={"color": colour, "linewidth": 1.2},
            capprops={"color": colour, "linewidth": 1.2},
        )
    axes.set_yticks(range(len(classes)), [f"{one.label} ({one.clips - one.unreadable})" for one in classes])
    axes.set_ylim(len(classes) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.set_xlabel("RMS, full scale 1  (box: middle half, whiskers: 5 to 95 %, dot: mean)", fontsize=9, color=_INK)
    axes.set_title("Loudness", loc="left", fontsize=10, color=_INK)
    handles, labels = axes.get_legend_handles_labels()
    unique = dict(zip(labels, handles, strict=True))
    axes.legend(
        unique.values(),
        unique.keys(),
        frameon=False,
        fontsize=9,
        ncols=2,
        loc="lower right",
        bbox_to_anchor=(1, 1),
        borderaxespad=0,
    )


def _box(spread: Spread) -> dict[str, float]:
    keys = ("whislo", "q1", "med", "q3", "whishi")
    return {**dict(zip(keys, spread.quantiles, strict=True)), "mean": spread.mean}


def _draw_probes(axes: Any, report: Report) -> None:
    axes.set_title("Accuracy without hearing anything", loc="left", fontsize=10, color=_INK)
    axes.set_xlim(0, 100)
    legend = "  (orange: the interval lies above chance)" * any(probe.warns for probe in report.probes)
    axes.set_xlabel(f"% of test clips{legend}", fontsize=9, color=_INK)
    if not report.probes:
        axes.set_yticks([])
        axes.text(50, 0.5, "no test clips", ha="center", va="center", color=_INK, transform=axes.get_xaxis_transform())
        return
    for row, probe in enumerate(report.probes):
        accuracy = 100 * probe.accuracy
        axes.barh(row, accuracy, height=0.55, color=_WARNING if probe.warns else _FINE)
        if probe.interval is not None:
            reach = [[accuracy - 100 * probe.interval.low], [100 * probe.interval.high - accuracy]]
            axes.errorbar(accuracy, row, xerr=reach, color=_INK, capsize=3, linewidth=1.2)
        axes.text(103, row, f"{accuracy:.0f} %", va="center", ha="left", fontsize=9, color=_INK)
    chance = 100 * report.probes[0].chance
    axes.axvline(chance, color=_INK, linestyle=(0, (4, 3)), linewidth=1)
    side = "left" if chance < 75 else "right"
    axes.text(chance, -0.62, f" chance {chance:.0f} ", va="bottom", ha=side, fontsize=9, color=_INK)
    axes.set_yticks(range(len(report.probes)), [probe.name for probe in report.probes])
    axes.set_ylim(len(report.probes) - 0.5, -0.9)
