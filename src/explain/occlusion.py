"""Occlusion (Zeiler and Fergus, 2014, section 4.2): hide a part of the picture, and see how far the decision falls."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, UInt8

from src.errors import UserError
from src.explain.evidence import Picture, log_odds
from src.explain.grid import Cells, Grid
from src.head import FittedHead

Level = UInt8[np.ndarray, "*colours"]


@dataclass(frozen=True, eq=False)
class Effects:
    """By how much the log-odds of a class fall, in nats, when a part of the picture is hidden.

    Above 0: the part speaks for the class; below: against it.

    Attributes:
        bands: each over the whole time. times: each over all bands. cells: one by one.
    """

    bands: Float64[np.ndarray, " bands"]
    times: Float64[np.ndarray, " times"]
    cells: Float64[np.ndarray, "bands times"]


def fill(picture: Picture, grid: Grid, how: str) -> Level:
    """The level (or colour) that a hidden part shows.

    Args:
        how: `background`: the pixel of median brightness among all rows that sound can reach. Black would cut a hole
            into a picture with a noise floor, and a network sees the hole's edges; a band's own median would put a
            steady tone back in its place. `lowest`: the darkest pixel, for comparison.
    """
    heard = picture[grid.band_of_row >= 0]
    colours = heard.reshape(-1, *picture.shape[2:])
    brightness = colours if picture.ndim == 2 else colours.sum(axis=1, dtype=np.int64)
    order = np.argsort(brightness, kind="stable")
    found: Level = np.asarray(colours[order[0 if how == "lowest" else len(order) // 2]])
    return found


def hidden(picture: Picture, grid: Grid, cells: Cells, level: Level) -> Picture:
    """The picture with some cells at one level."""
    shown = picture.copy()
    shown[grid.pixels(cells)] = level
    return shown


def variants(picture: Picture, grid: Grid, level: Level) -> Iterator[Picture]:
    """The picture, then without each band, without each time, and without each cell in rows."""
    yield picture
    for cells in _parts(grid.shape):
        yield hidden(picture, grid, cells, level)


def effects(head: FittedHead, features: np.ndarray, shape: tuple[int, int], target: int) -> Effects:
    """Effects from the features of `variants`.

    Args:
        shape: of the grid. target: position of the class.

    Raises:
        UserError: there is but one class.
    """
    probabilities = head.predict_proba(features)
    if probabilities.shape[1] < 2:
        raise UserError("explain: this run knows one class only; there is no decision to explain")
    odds = log_odds(probabilities, target)
    falls = odds[0] - odds[1:]
    bands, times = shape
    return Effects(falls[:bands], falls[bands : bands + times], falls[bands + times :].reshape(bands, times))


def _parts(shape: tuple[int, int]) -> Iterator[Cells]:
    every = np.arange(shape[0] * shape[1]).reshape(shape)
    for some in (*every, *every.T, *every.ravel()):
        yield np.isin(every, some)
