"""A confusion matrix as a picture, and as a table of what it counts."""

import csv
import io
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Int64

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
