"""An explanation in numbers: a small JSON that stays the same from version to version, and a table of all effects."""

import csv
import io
from typing import Any

import numpy as np

from src.data.waveform import Waveform
from src.explain.making import Check, Explanation, Said
from src.explain.regions import Region
from src.explain.settings import Settings

VERSION = 1
"""Raised by whoever changes what a key of the summary means, or takes one away."""

_HEADER = ("part", "low_hz", "high_hz", "start_s", "end_s", "occlusion_nats", "gradcam", "deciding")


def summary(explanation: Explanation, settings: Settings, waveform: Waveform) -> dict[str, Any]:
    """As plain values; probabilities and shares in 0..1, effects in nats, frequencies in Hz, times in seconds.

    Args:
        waveform: the clip as recorded.
    """
    cells, picture = explanation.chosen.cells, explanation.picture.astype(np.float64)
    inside = explanation.grid.pixels(cells)
    heard = waveform.samples.astype(np.float64)
    return {
        "version": VERSION,
        "predicted": explanation.classes[int(explanation.said.argmax())],
        "explained": explanation.classes[explanation.target],
        "probabilities": _named(explanation, explanation.said),
        "method": {
            "chosen_by": explanation.chosen.name,
            "fill": settings.fill,
            "bands": explanation.grid.shape[0],
            "times": explanation.grid.shape[1],
            "gradcam": explanation.no_cam or f"layer {settings.layer or 'last map before pooling'}",
        },
        "deciding": {
            "regions": [_region(region) for region in explanation.regions],
            "share_of_effect": _rounded(explanation.chosen.share),
            "share_of_area": _rounded(float(cells.mean())),
            "share_of_brightness": _share(picture[inside].sum(), picture.sum()),
            "share_of_sound_energy": _share((explanation.only.samples.astype(np.float64) ** 2).sum(), (heard**2).sum()),
        },
        "picture": _check(explanation, explanation.in_picture),
        "sound": _check(explanation, explanation.in_sound),
        "rank_correlation_with_random_heads": (
            None if explanation.random_heads is None else _rounded(explanation.random_heads)
        ),
    }


def effects_csv(explanation: Explanation) -> str:
    """A row for each band over the whole time, each time over all bands, and each cell.

    Columns: part (band, time or cell), low_hz and high_hz (empty where rows are no frequencies), start_s and end_s,
    occlusion_nats (by how much the log-odds of the class fall), gradcam (mean, 1 is its maximum; cells only), deciding.
    """
    grid, effects = explanation.grid, explanation.effects
    bands, times = grid.shape
    everything = slice(None)
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(_HEADER)
    for band in range(bands):
        table.writerow(["band", *_where(explanation, band, everything), f"{effects.bands[band]:.6g}", "", ""])
    for time in range(times):
        table.writerow(["time", *_where(explanation, everything, time), f"{effects.times[time]:.6g}", "", ""])
    for band, time in np.ndindex(bands, times):
        cam = "" if explanation.cam_cells is None else f"{explanation.cam_cells[band, time]:.6g}"
        here = [f"{effects.cells[band, time]:.6g}", cam, int(explanation.chosen.cells[band, time])]
        table.writerow(["cell", *_where(explanation, band, time), *here])
    return stream.getvalue()


def _where(explanation: Explanation, band: int | slice, time: int | slice) -> list[str]:
    """Lowest and highest frequency, first and last second."""
    hertz, seconds = explanation.grid.hertz, explanation.grid.seconds
    start, end = (0, -1) if isinstance(time, slice) else (time, time + 1)
    when = [f"{seconds[start]:.4f}", f"{seconds[end]:.4f}"]
    if hertz is None:
        return ["", "", *when]
    top, bottom = (0, -1) if isinstance(band, slice) else (band, band + 1)
    return [f"{hertz[bottom]:.2f}", f"{hertz[top]:.2f}", *when]


def _region(region: Region) -> dict[str, Any]:
    return {
        "low_hz": None if region.hertz is None else round(region.hertz[0], 2),
        "high_hz": None if region.hertz is None else round(region.hertz[1], 2),
        "start_s": round(region.seconds[0], 4),
        "end_s": round(region.seconds[1], 4),
        "cells": region.cells,
        "effect": _rounded(region.effect),
    }


def _check(explanation: Explanation, check: Check) -> dict[str, Any]:
    """What the model says with only, and without, the deciding regions, and without others of the same shape."""
    others = check.elsewhere
    some = {"mean": others.mean(), "lowest": others.min(), "highest": others.max()} if len(others) else {}
    return {
        "only": _named(explanation, check.only),
        "without": _named(explanation, check.without),
        "elsewhere": {"draws": len(others), **{key: _rounded(float(value)) for key, value in some.items()}},
    }


def _named(explanation: Explanation, said: Said) -> dict[str, float]:
    return {name: _rounded(float(value)) for name, value in zip(explanation.classes, said, strict=True)}


def _share(part: float, whole: float) -> float:
    return _rounded(float(part / whole)) if whole > 0 else 0.0


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
