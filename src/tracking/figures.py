"""Figures without a screen: a canvas, its PNG, spectrograms with axes, confusion matrices."""

import csv
import io
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, Int64, UInt8

from src.spectrogram import Spectrogram

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

DPI = 150
INK, FAINT = "#1a1a1a", "#8a8a8a"
NETWORK_COLOUR, BASELINE_COLOUR = "#2f6db3", "#e0913a"
_HERTZ = (31.25, 62.5, 125.0, 250.0, 500.0, 1000.0, 2000.0, 4000.0, 8000.0, 16000.0)


def canvas(width: float, height: float) -> "Figure":
    """An empty figure of so many inches."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    return figure


def png(figure: "Figure") -> bytes:
    """Its bytes; the same figure gives the same bytes."""
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI, metadata={"Software": None})
    return stream.getvalue()


def tidy(axes: "Axes") -> None:
    """No frame where it says nothing; small ticks."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=8, colors=INK, length=3)


def draw_spectrogram(
    axes: "Axes", picture: UInt8[np.ndarray, "rows columns *colours"], spectrogram: Spectrogram, seconds: float
) -> None:
    """The 8-bit picture as the network gets it, highest band on top.

    Args:
        seconds: that the picture lasts.
    """
    rows = picture.shape[0]
    grey: dict[str, Any] = {"cmap": "gray", "vmin": 0, "vmax": 255} if picture.ndim == 2 else {}
    axes.imshow(picture, aspect="auto", extent=(0, seconds, rows - 0.5, -0.5), interpolation="antialiased", **grey)
    axes.tick_params(labelsize=8, colors=INK, length=3)
    axes.set_xlabel("seconds", fontsize=9)
    bands, lowest = getattr(spectrogram, "bins_per_octave", None), getattr(spectrogram, "fmin", None)
    if bands and lowest:
        marks = {hz: rows - 1 - bands * np.log2(hz / lowest) for hz in _HERTZ}
        inside = {hz: row for hz, row in marks.items() if 0 <= row <= rows - 1}
        axes.set_yticks(list(inside.values()), [_hertz(hz) for hz in inside])
        axes.set_ylabel("Hz", fontsize=9)
    else:
        axes.set_yticks([])
        axes.set_ylabel("bands", fontsize=9)


def hertz_axis(axes: "Axes", centres: Float64[np.ndarray, " rows"]) -> None:
    """Ticks at octaves on the upright axis of a picture whose rows have these centres in Hz, falling."""
    rows = len(centres)
    marks: dict[float, float] = {}
    for hz in reversed(_HERTZ):
        row = float(np.interp(-hz, -centres, np.arange(rows)))
        far = all(abs(row - other) >= rows / 16 for other in marks.values())
        if centres[-1] <= hz <= centres[0] and far:
            marks[hz] = row
    axes.set_yticks(list(marks.values()), [_hertz(hz) for hz in marks])
    axes.set_ylabel("Hz", fontsize=9)


def _hertz(hz: float) -> str:
    return f"{hz / 1000:g}k" if hz >= 1000 else f"{hz:.0f}"


_MOST_COUNTS = 30
"""Up to so many classes each cell shows its count, and the picture grows with the classes."""
_MOST_NAMES = 60
_MOST_CELLS = 1500
_LONGEST_NAME = 24


def confusion_table(confusion: Int64[np.ndarray, "classes classes"], classes: Sequence[str]) -> str:
    """CSV of true class, predicted class and count of test clips, without the pairs that never occur."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["label", "predicted", "clips"])
    table.writerows([classes[i], classes[j], confusion[i, j]] for i, j in np.argwhere(confusion))
    return text.getvalue()


def draw_confusion(confusion: Int64[np.ndarray, "classes classes"], classes: Sequence[str], path: Path) -> None:
    """Draw counts of test clips, true class down, predicted class across, shaded by the share of the true class.

    The picture has at most about 1800 pixels a side however many classes there are. Above 30 classes it shows no
    counts; above 60 it names some of them only; above 1500 neighbouring classes share a cell.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = len(classes)
    merged = -(-count // _MOST_CELLS)
    starts = np.arange(0, count, merged)
    cells = np.add.reduceat(np.add.reduceat(confusion, starts, axis=0), starts, axis=1) if merged > 1 else confusion
    share = cells / np.maximum(cells.sum(axis=1, keepdims=True), 1)
    size = 2.2 + 0.45 * min(count, _MOST_COUNTS)
    figure = Figure(figsize=(size + 0.6, size), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.imshow(share, cmap="Blues", vmin=0, vmax=1)
    if count <= _MOST_COUNTS:
        for row, column in np.argwhere(cells):
            colour = "white" if share[row, column] > 0.5 else "black"
            axes.text(column, row, str(cells[row, column]), ha="center", va="center", color=colour, fontsize=8)
    step = -(-len(cells) // _MOST_NAMES)
    named = range(0, len(cells), step)
    names = [_shortened(classes[starts[cell]]) for cell in named]
    # A dollar sign in a name begins no formula.
    axes.set_xticks(named, names, rotation=45, ha="right", fontsize=8, parse_math=False)
    axes.set_yticks(named, names, fontsize=8, parse_math=False)
    some = f" (named: every {step * merged}th of {count} classes)" if step * merged > 1 else ""
    axes.set_xlabel("predicted" + some)
    axes.set_ylabel("true")
    with warnings.catch_warnings():
        # Letters that the font lacks are drawn as boxes.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(path, dpi=110)


def _shortened(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"
