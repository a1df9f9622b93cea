"""An explanation as a picture: the clip, what each part of it does for the decision, and whether that holds."""

from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float, Float64, Int64

from src.explain.explanation import Check, Explanation, Said
from src.explain.grid import Grid
from src.features.pipeline import ImageTransform
from src.tracking.figures import (
    BASELINE_COLOUR,
    FAINT,
    INK,
    NETWORK_COLOUR,
    canvas,
    draw_spectrogram,
    hertz_axis,
    png,
    tidy,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FOR, AGAINST = BASELINE_COLOUR, NETWORK_COLOUR
_OPAQUE = 0.85
_CLASSES_SHOWN = 5
_SHADES = {"the clip": INK, "only the regions": FOR, "without them": AGAINST}


def draw(explanation: Explanation, image_transform: ImageTransform, sample_rate: int, title: str) -> bytes:
    """PNG: the picture, effects by occlusion, and Grad-CAM; beside them what the model says then.

    Args:
        image_transform: how the picture was made. sample_rate: of the clip, in Hz.
    """
    cam = explanation.cam
    heights = [2.2, 2.2, 0.7, *([2.2] if cam is not None else [1.3])]
    figure = canvas(11.0, 0.6 + sum(heights))
    grid = figure.add_gridspec(len(heights), 2, height_ratios=heights, width_ratios=[2.8, 1])
    figure.suptitle(plain(title), fontsize=11, color=INK, x=0.01, ha="left")
    name = plain(explanation.classes[explanation.target])
    view = _View(explanation, image_transform, sample_rate)
    view.panel(figure.add_subplot(grid[0, 0]), None, f"The picture, with the regions that decide for {name}")
    _chances(figure.add_subplot(grid[0, 1]), explanation)
    cells = explanation.effects.cells
    axes = figure.add_subplot(grid[1, 0])
    view.panel(axes, view.spread(cells), f"Occlusion: orange speaks for {name}, blue against")
    bands = figure.add_subplot(grid[1, 1], sharey=axes)
    _band_bars(bands, explanation)
    times = figure.add_subplot(grid[2, 0], sharex=axes)
    _time_bars(times, explanation)
    _scale(figure.add_subplot(grid[2, 1]), float(np.abs(cells).max()) or 1.0)
    if cam is not None:
        view.panel(figure.add_subplot(grid[3, 0]), cam, f"Grad-CAM for {name}")
    else:
        told = figure.add_subplot(grid[3, 0])
        told.set_axis_off()
        told.text(0, 0.8, plain(f"No Grad-CAM: {explanation.no_cam}."), fontsize=9, color=INK, wrap=True)
    _checks(figure.add_subplot(grid[3, 1]), explanation)
    return png(figure)


def plain(words: str) -> str:
    """Text that matplotlib shows as it is, without reading mathematics into it."""
    return words.replace("$", r"\$")


class _View:
    """The clip once, where the picture shows several copies of it: its loudest."""

    def __init__(self, explanation: Explanation, image_transform: ImageTransform, sample_rate: int) -> None:
        self._explained, self._grid = explanation, explanation.grid
        self._spectrogram = image_transform.spectrogram
        self._centres = image_transform.spectrogram.frequencies(sample_rate)
        levels = image_transform.preprocess.levels_dbfs or [0.0]
        self._seconds = float(explanation.grid.seconds[-1])
        width = explanation.picture.shape[1]
        edges = np.linspace(0, width, len(levels) + 1).round().astype(int)
        loudest = int(np.argmax(levels))
        self._columns = slice(int(edges[loudest]), int(edges[loudest + 1]))

    def spread(self, cells: Float64[np.ndarray, "bands times"]) -> Float64[np.ndarray, "rows columns"]:
        """Values of cells on every pixel, 0 where no sound can reach."""
        values: Float64[np.ndarray, "rows columns"] = cells[self._grid.band_of_row][:, self._grid.time_of_column]
        values[self._grid.band_of_row < 0] = 0
        return values

    def panel(self, axes: "Axes", values: Float64[np.ndarray, "rows columns"] | None, title: str) -> None:
        """The picture, dimmed under `values` where they are given; the deciding regions outlined."""
        picture = self._explained.picture[:, self._columns]
        draw_spectrogram(axes, picture, self._spectrogram, self._seconds)
        if values is not None:
            rows = picture.shape[0]
            axes.imshow(
                _veil(values[:, self._columns]), aspect="auto", extent=(0, self._seconds, rows - 0.5, -0.5),
                interpolation="nearest",
            )  # fmt: skip
        if self._centres is not None:
            hertz_axis(axes, self._centres)
        _outline(axes, self._grid, self._explained.chosen.cells, faint=values is not None)
        axes.set_xlim(0, self._seconds)
        axes.set_title(title, fontsize=9, loc="left", color=INK)


def _veil(values: Float64[np.ndarray, "rows columns"]) -> Float[np.ndarray, "rows columns 4"]:
    """Colour by sign, opacity by magnitude."""
    from matplotlib.colors import to_rgb

    strength = np.abs(values) / (np.abs(values).max() or 1.0)
    colours = np.where((values > 0)[..., None], to_rgb(FOR), to_rgb(AGAINST))
    veil: Float[np.ndarray, "rows columns 4"] = np.concatenate([colours, _OPAQUE * strength[..., None]], axis=2)
    return veil


def _outline(axes: "Axes", grid: Grid, cells: np.ndarray, *, faint: bool) -> None:
    """Lines between cells that are in and cells that are not."""
    from matplotlib.collections import LineCollection

    rows, seconds = _row_edges(grid), grid.seconds
    around = np.pad(cells, 1)
    lines = []
    for band, time in np.argwhere(cells):
        top, bottom, left, right = rows[band], rows[band + 1], seconds[time], seconds[time + 1]
        sides = {
            (band, time + 1): ((left, top), (right, top)),
            (band + 2, time + 1): ((left, bottom), (right, bottom)),
            (band + 1, time): ((left, top), (left, bottom)),
            (band + 1, time + 2): ((right, top), (right, bottom)),
        }
        lines += [line for (row, column), line in sides.items() if not around[row, column]]
    width = 0.8 if faint else 1.6
    axes.add_collection(
        LineCollection(lines, colors="white" if faint else FOR, linewidths=width, capstyle="projecting")
    )


def _row_edges(grid: Grid) -> Float64[np.ndarray, " edges"]:
    """Upper edge of each band in rows, and the lower edge of the last."""
    starts: Int64[np.ndarray, " bands"] = np.searchsorted(grid.band_of_row, np.arange(grid.shape[0]))
    return np.array([*starts, len(grid.band_of_row)]) - 0.5


def _chances(axes: "Axes", explanation: Explanation) -> None:
    """What the model says of the three sounds."""
    check = explanation.in_sound
    said: list[Said] = [explanation.said, check.only, check.without]
    order = np.argsort(-np.max(said, axis=0), kind="stable")[:_CLASSES_SHOWN]
    places = np.arange(len(order))
    for number, (shade, row) in enumerate(zip(_SHADES.items(), said, strict=True)):
        name, colour = shade
        axes.barh(places + 0.26 * (number - 1), 100 * row[order], height=0.24, color=colour, label=name)
    axes.set_yticks(places, [plain(explanation.classes[i]) for i in order], fontsize=8)
    axes.invert_yaxis()
    axes.set_xlim(0, 100)
    axes.set_title("The model on the three sounds, %", fontsize=9, loc="left", color=INK)
    axes.legend(fontsize=7, frameon=False, loc="lower right", handlelength=1)
    tidy(axes)


def _band_bars(axes: "Axes", explanation: Explanation) -> None:
    rows, values = _row_edges(explanation.grid), explanation.effects.bands
    colours = [FOR if value > 0 else AGAINST for value in values]
    axes.barh((rows[1:] + rows[:-1]) / 2, values, height=0.9 * np.diff(rows), color=colours)
    axes.axvline(0, color=INK, linewidth=0.6)
    axes.tick_params(labelleft=False)
    axes.set_title("Each band hidden all the time", fontsize=9, loc="left", color=INK)
    tidy(axes)


def _time_bars(axes: "Axes", explanation: Explanation) -> None:
    seconds, values = explanation.grid.seconds, explanation.effects.times
    colours = [FOR if value > 0 else AGAINST for value in values]
    axes.bar((seconds[1:] + seconds[:-1]) / 2, values, width=0.9 * np.diff(seconds), color=colours)
    axes.axhline(0, color=INK, linewidth=0.6)
    axes.set_ylabel("all bands\nhidden", fontsize=8)
    tidy(axes)


def _scale(axes: "Axes", strongest: float) -> None:
    """What the colours mean in numbers."""
    axes.imshow(_veil(np.linspace(-1, 1, 256)[None]), aspect="auto", extent=(-strongest, strongest, 0, 1))
    axes.set_yticks([])
    axes.set_facecolor("black")
    axes.tick_params(labelsize=8, colors=INK, length=3)
    axes.set_xlabel("a cell hidden: log-odds fall by so many nats", fontsize=8)


def _checks(axes: "Axes", explanation: Explanation) -> None:
    """The class's probability without the deciding regions, and without others of the same shape."""
    target = explanation.target
    rows: list[tuple[str, Check]] = [("in the picture", explanation.in_picture), ("in the sound", explanation.in_sound)]
    for place, (_, check) in enumerate(rows):
        heights = place + np.linspace(-0.22, 0.22, max(2, len(check.elsewhere)))[: len(check.elsewhere)]
        axes.scatter(100 * check.elsewhere, heights, s=14, color=FAINT, alpha=0.6, linewidths=0, label="_")
        axes.scatter([100 * check.without[target]], [place], s=60, color=AGAINST, marker="D", zorder=3)
    axes.axvline(100 * float(explanation.said[target]), color=INK, linewidth=0.8, linestyle="--")
    axes.set_yticks(range(len(rows)), [name for name, _ in rows], fontsize=8)
    axes.set_ylim(1.6, -0.6)
    axes.set_xlim(-2, 102)
    name = plain(explanation.classes[target])
    axes.set_xlabel(f"probability of {name}, %", fontsize=8)
    axes.set_title(
        "Without the regions (blue);\nwithout others of that shape (grey)", fontsize=9, loc="left", color=INK
    )
    tidy(axes)
