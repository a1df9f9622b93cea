"""Envelopes from overlapping blocks of the clip, where a filter's response is short beside a block.

A block is `period` samples of the clip, transformed on their own. Its samples lie at their own time modulo the period,
so that every block has the same phase reference and its envelope is sampled at the very instants that the
specification names: a mean of a few points depends on where those are, by several grey levels.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Complex64, Float32

from src.spectrogram.asperes_bands import Band, Grid
from src.spectrogram.asperes_fft import aligned_zeros, forward, inverse, inverse_real
from src.spectrogram.asperes_pixels import PixelMeans
from src.spectrogram.asperes_whole import Whole


@dataclass(frozen=True)
class Frames:
    """How a clip is cut.

    Attributes:
        period: samples of a block. share: the period as a share of the padded clip.
        margin: samples at either end of a block that lie too near the edge to be used.
    """

    period: int
    share: Fraction
    margin: int

    @property
    def hop(self) -> int:
        """Samples that one more block covers."""
        return self.period - 2 * self.margin

    def count(self, stop: int) -> int:
        """Blocks that cover the samples from 0 to `stop`."""
        return max(1, -(-stop // self.hop))

    def cut(self, samples: Float32[np.ndarray, " samples"], stop: int) -> Float32[np.ndarray, "blocks period"]:
        """The blocks that cover 0 to `stop`; silence where there is no clip."""
        blocks = aligned_zeros(self.count(stop), self.period)
        for number, block in enumerate(blocks):
            first = number * self.hop - self.margin
            for place, source in wrapped(max(first, 0), min(first + self.period, len(samples)), self.period):
                block[place] = samples[source]
        return blocks


def wrapped(first: int, stop: int, period: int) -> Iterator[tuple[slice, slice]]:
    """The range from `first` to `stop` in pieces that cross no multiple of `period`: modulo it, and as they are."""
    while first < stop:
        length = min(stop - first, period - first % period)
        yield slice(first % period, first % period + length), slice(first, first + length)
        first += length


class BlockBand:
    """One row computed block by block."""

    def __init__(self, grid: Grid, band: Band, frames: Frames, means: PixelMeans) -> None:
        """`means`: from this band's envelope to pixels."""
        self._row, self._means = band.row, means
        # A period holds `points / stride` points of the envelope. Where that is no whole number, the transform spans
        # `stride` periods, of which the block's coefficients, each `stride` bins apart, make equal copies.
        per_period = band.points * frames.share
        self.points, self._stride = per_period.numerator, per_period.denominator
        bins_per_bin = float(frames.share)
        self._first = math.floor((band.low + 1) * bins_per_bin) + 1
        bins = np.arange(self._first, math.ceil((band.high + 1) * bins_per_bin))
        self._gain = (band.gain(bins / bins_per_bin) * 2 / frames.period).astype(np.float32)
        hop, period = frames.hop * self.points, frames.period * self._stride
        edges = [min(-(-number * hop // period), means.needed) for number in range(means.needed * period // hop + 2)]
        self._pieces = [list(wrapped(first, stop, self.points)) for first, stop in pairwise(edges)]

    def draw(
        self,
        spectra: Complex64[np.ndarray, "blocks bins"],
        scratch: Complex64[np.ndarray, " enough"],
        picture: Float32[np.ndarray, "rows columns"],
    ) -> None:
        """Write this band's row of the picture; `scratch` holds at least `points` a block."""
        used = len(self._gain)
        slices = scratch[: len(spectra) * self.points].reshape(len(spectra), self.points)
        slices[:, used if self._stride == 1 else 0 :] = 0
        of_band = spectra[:, self._first : self._first + used]
        np.multiply(of_band, self._gain, out=slices[:, : used * self._stride : self._stride])
        envelope = np.zeros(self._means.needed, np.float32)
        for block, pieces in zip(inverse(slices), self._pieces, strict=False):
            for source, place in pieces:
                np.abs(block[source], out=envelope[place])
        picture[self._row] = self._means(envelope)[: picture.shape[1]]


class Stream:
    """The clip at a lower rate: its lowest frequencies, or, mirrored, its highest ones counted down from Nyquist."""

    def __init__(self, frames: Frames, points: int, total: int, keep: float, mirrored: bool) -> None:
        """`points` a period and `total` in the padded clip; frequencies up to `keep` of Nyquist at the lower rate."""
        self._frames, self._points, self._total, self._mirrored = frames, points, total, mirrored
        position = np.arange(points // 2 + 1) / (points / 2)
        fall = np.clip((position - keep) / (1 - keep), 0, 1)
        self._taper = ((0.5 + 0.5 * np.cos(np.pi * fall)) / frames.period).astype(np.float32)

    def take(self, spectra: Complex64[np.ndarray, "blocks bins"]) -> Float32[np.ndarray, " total"]:
        """The signal over the padded clip."""
        used = len(self._taper)
        chosen = spectra[:, : -used - 1 : -1].conj() if self._mirrored else spectra[:, :used]
        blocks = inverse_real(chosen * self._taper, self._points)
        hop, period = self._frames.hop, self._frames.period
        # Lowering the rate smears a little over the clip's ends, which the padded clip, being circular, joins. The
        # outer half of a margin holds what the cut at the block's edge smears.
        smear = self._frames.margin // 2
        before = -(-smear * self._points // period)
        signal = np.zeros(before + self._total, np.float32)
        for number, block in enumerate(blocks):
            first = number * hop - (smear if number == 0 else 0)
            stop = (number + 1) * hop + (smear if number == len(blocks) - 1 else 0)
            first, stop = (-(-edge * self._points // period) for edge in (first, stop))
            for source, place in wrapped(first, min(stop, self._total - before), self._points):
                signal[before + place.start : before + place.stop] = block[source]
        signal[-before:] += signal[:before]
        return signal[before:]


@dataclass(frozen=True)
class Blocks:
    """All rows of a picture: wide bands block by block, the others from the clip at a lower rate."""

    grid: Grid
    frames: Frames
    bands: list[BlockBand]
    streams: list[tuple[Stream, Whole]]

    def draw(self, samples: Float32[np.ndarray, " samples"], picture: Float32[np.ndarray, "rows columns"]) -> None:
        """Write every row; amplitude 1 is a tone of amplitude 1 at a band's centre."""
        stop = math.ceil((picture.shape[1] + 1) * self.grid.sample_rate / self.grid.scale.pixels_per_second)
        spectra = forward(self.frames.cut(samples, stop))
        # Memory that is not given back between bands stays mapped and in the processor's cache.
        scratch = aligned_zeros(len(spectra) * max(band.points for band in self.bands), dtype=torch.complex64)
        for band in self.bands:
            band.draw(spectra, scratch, picture)
        for stream, whole in self.streams:
            whole.draw(stream.take(spectra), picture)
