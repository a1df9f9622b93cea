"""Occlusion (Zeiler and Fergus, 2014, section 4.2): hide a part of the image, and see how far the log-odds fall."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from src.backbone import Backbone
from src.errors import UserError
from src.explain.grid import Cells, Grid
from src.head import FittedHead

Picture = UInt8[np.ndarray, "rows columns *colours"]


@dataclass(frozen=True)
class Eye:
    """A backbone that looks at many pictures of one clip.

    Attributes:
        workers: threads.
    """

    backbone: Backbone
    workers: int

    def features(self, pictures: Iterable[Picture]) -> Float32[np.ndarray, "pictures features"]:
        """A row each, in order; only a few pictures are held at a time."""
        rows = [np.empty((0, len(self.backbone.feature_names)), np.float32)]
        source = iter(pictures)
        with ThreadPoolExecutor(self.workers) as pool:
            while batch := list(islice(source, self.backbone.batch_size)):
                rows.append(self.backbone.embed(list(pool.map(self.backbone.prepare, batch))))
        return np.concatenate(rows)


def log_odds(probabilities: Float32[np.ndarray, "pictures classes"], target: int) -> Float64[np.ndarray, " pictures"]:
    """The logarithm of a class's probability over that of all others together, in nats.

    Unlike the probability itself it does not saturate: from 99.9 % to 99 % is as far as from 50 % to 9 %. It does not
    depend on what a softmax leaves open, a constant added to all logits. A probability of exactly 0, which forests and
    votes give, counts as half the smallest one among these pictures.
    """
    values = probabilities.astype(np.float64)
    floor = values[values > 0].min() / 2
    others = np.delete(values, target, axis=1).sum(axis=1)
    found: Float64[np.ndarray, " pictures"] = np.log(np.maximum(values[:, target], floor)) - np.log(
        np.maximum(others, floor)
    )
    return found


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
