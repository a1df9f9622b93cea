"""Figures without a screen: a canvas, its PNG, and a spectrogram with axes in seconds and hertz."""

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64, UInt8

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
    bands, lowest = getattr(spectrogram, "bands_per_octave", None), getattr(spectrogram, "min_hz", None)
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
