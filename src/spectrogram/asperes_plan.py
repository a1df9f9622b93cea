"""Everything about a picture that does not depend on the clip's samples, computed once for each padded length."""

import math
import threading
from collections import OrderedDict
from collections.abc import Iterator
from fractions import Fraction
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

from src.spectrogram.asperes_bands import Band, Grid
from src.spectrogram.asperes_blocks import BlockBand, Blocks, Frames, Stream
from src.spectrogram.asperes_pixels import PixelMeans
from src.spectrogram.asperes_whole import Whole

# Bands of more points a pixel than this are computed in blocks, of which so many pixels at either end go unused. There
# the tail of the widest response, 1 / (pi x (x^2 - 1)) at x = _NARROW * _MARGIN / 2 bandwidths, is 2e-4 of its peak.
_NARROW = 2
_MARGIN = 12
# Plans stay in memory up to this many envelope points together, 8 bytes each; a plan that alone has more than half
# computes its weights anew for every clip (a minute at 44.1 kHz has 6 million points).
_KEPT_POINTS = 16_000_000


@runtime_checkable
class Plan(Protocol):
    """Draws any clip whose padded length is the plan's."""

    def draw(self, samples: Float32[np.ndarray, " samples"], picture: Float32[np.ndarray, "rows columns"]) -> None:
        """Write the amplitude of each band, one row a band, into a picture of zeros."""


class Plans:
    """The plans used last; safe to call from several threads."""

    def __init__(self, kept_points: int = _KEPT_POINTS) -> None:
        self._limit, self._lock = kept_points, threading.Lock()
        self._plans: OrderedDict[Grid, tuple[Plan, int]] = OrderedDict()

    def of(self, grid: Grid) -> Plan:
        """The plan for this grid, made if it is not at hand."""
        with self._lock:
            if grid not in self._plans:
                points = sum({band.points for band in grid.bands if band.points > grid.pixels})
                keep = points <= self._limit // 2
                self._plans[grid] = (make_plan(grid, keep), points if keep else grid.pixels)
                while len(self._plans) > 1 and sum(size for _, size in self._plans.values()) > self._limit:
                    self._plans.popitem(last=False)
            self._plans.move_to_end(grid)
            return self._plans[grid][0]


PLANS = Plans()
"""Those of this process."""


def make_plan(grid: Grid, keep: bool) -> Plan:
    """Blocks where the sample rate allows it, otherwise the whole clip at once; `keep` the weights of the means."""
    above = {band.points for band in grid.bands if band.points > grid.pixels}
    means = {points: PixelMeans(points, grid.pixels, grid.columns, keep) for points in above}
    return _blocks(grid, means) or Whole(grid, grid.bands, means, grid.samples)


def _blocks(grid: Grid, means: dict[int, PixelMeans]) -> Blocks | None:
    """None where no block length suits the sample rate, or where the lower rates would not be much lower."""
    cut = [band for band in grid.bands if band.high >= grid.samples // 2]
    narrow = [band for band in grid.bands if band.points <= _NARROW * grid.pixels and band not in cut]
    wide = [band for band in grid.bands if band.points > _NARROW * grid.pixels and band not in cut]
    frames = min(_frames(grid, even=bool(cut)), key=lambda frames: _cost(grid, frames, wide), default=None)
    if frames is None or not wide or not narrow:
        return None
    streams = []
    for bands, mirrored in ((narrow, False), (cut, True)):
        reach = grid.samples // 2 - bands[0].low if mirrored and bands else max(band.high for band in narrow) + 1
        rate = _lower_rate(grid, frames, reach)
        if rate is None:
            return None
        total = rate * grid.pixels
        stream = Stream(frames, int(total * frames.share), total, reach / (total / 2), mirrored)
        streams.append((stream, Whole(grid, bands, means, total, mirrored)))
    rows = [BlockBand(grid, band, frames, means[band.points]) for band in wide]
    return Blocks(grid, frames, rows, streams if cut else streams[:1])


def _frames(grid: Grid, even: bool) -> Iterator[Frames]:
    """Blocks of a whole number of samples that are a simple share of the padded clip; `even` numbers only if asked.

    There are none where the padded clip, rounded to samples, is not its number of pixels exactly.
    """
    samples_per_pixel = Fraction(grid.sample_rate, grid.scale.pixels_per_second)
    if grid.pixels * samples_per_pixel != grid.samples:
        return
    margin = math.ceil(_MARGIN * samples_per_pixel)
    for twos in range(-2, 12):
        for threes in range(8):
            share = Fraction(1, 3**threes) / Fraction(2) ** twos
            period = grid.samples * share
            if 4 * margin <= period and share <= 1 and period.denominator == 1 and not (even and period % 2):
                yield Frames(int(period), share, margin)


def _cost(grid: Grid, frames: Frames, bands: list[Band]) -> float:
    """Roughly the nanoseconds that the longest clip on this grid takes."""
    blocks = frames.count(math.ceil(grid.columns * grid.sample_rate / grid.scale.pixels_per_second))
    lengths = [(band.points * frames.share).numerator for band in bands]
    # A point costs more where few rows are transformed together, outside the nearest caches, and without factors of 2.
    points = sum(length * (4 if length % 4 == 0 else 5.5) * (1 + length / 60_000) for length in lengths)
    return (blocks + 1.5) * (frames.period * (3 + _largest_factor(frames.period) / 7) + points)


def _lower_rate(grid: Grid, frames: Frames, reach: int) -> int | None:
    """Points a pixel that carry the bins up to `reach` with room for a gentle taper; None if not below half as many."""
    samples_per_pixel = Fraction(grid.sample_rate, grid.scale.pixels_per_second)
    rate = math.ceil(2.8 * reach / grid.pixels)
    while rate <= samples_per_pixel / 2:
        if (grid.pixels * rate * frames.share).denominator == 1 and _largest_factor(rate) <= 7:
            return rate
        rate += 1
    return None


def _largest_factor(number: int) -> int:
    """The largest prime factor."""
    factor, largest = 2, 1
    while factor * factor <= number:
        while number % factor == 0:
            number, largest = number // factor, factor
        factor += 1
    return max(number, largest)
