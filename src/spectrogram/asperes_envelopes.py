"""Envelopes of the asperes spectrogram's bands: transforms, blocks, pixels, and plans for each length."""

import math
import threading
from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Protocol, runtime_checkable

import numpy as np
import scipy.fft
import torch
from jaxtyping import Complex64, Float32

from src.spectrogram.asperes_bands import Band, Grid


def aligned_zeros(*shape: int, dtype: torch.dtype = torch.float32) -> np.ndarray:
    """Zeros at a multiple of 64 bytes, for data that torch works on: its library may round by alignment."""
    return np.asarray(torch.zeros(shape, dtype=dtype))


def forward(signals: Float32[np.ndarray, "rows samples"]) -> Complex64[np.ndarray, "rows bins"]:
    """Unnormalised transform of each row of real samples; bins from 0 to Nyquist."""
    if _is_for_torch(signals):
        return np.asarray(torch.fft.rfft(torch.from_numpy(signals)))
    return np.asarray(scipy.fft.rfft(signals))


def inverse(spectra: Complex64[np.ndarray, "rows points"]) -> Complex64[np.ndarray, "rows points"]:
    """Unnormalised inverse transform of each row; overwrites its argument."""
    if _is_for_torch(spectra):
        return np.asarray(torch.fft.ifft(torch.from_numpy(spectra), norm="forward"))
    return np.asarray(scipy.fft.ifft(spectra, norm="forward", overwrite_x=True))


def inverse_real(spectra: Complex64[np.ndarray, "rows bins"], samples: int) -> Float32[np.ndarray, "rows samples"]:
    """Unnormalised inverse transform of each row, from bins up to Nyquist to so many real samples."""
    return np.asarray(scipy.fft.irfft(spectra, samples, norm="forward"))


def _is_for_torch(data: np.ndarray) -> bool:
    rows, length = data.shape
    return bool(rows > 1 and length % 4 == 0)


class PixelMeans:
    """The means over an envelope of `points` that cover `pixels`, for the first `columns` pixels.

    Attributes:
        needed: how many of the first points they draw on.
    """

    def __init__(self, points: int, pixels: int, columns: int, keep: bool) -> None:
        """`keep`: hold on to the weights (8 bytes a point) rather than compute them at every call."""
        self._per_point = pixels / points
        # Points from edge i to edge i + 1 lie between pixels i and i + 1; they count for both.
        self._edges = -(-np.arange(columns + 1) * points // pixels)
        self.needed = int(self._edges[-1])
        self._kept = self._weights() if keep else None
        ones = np.ones(self.needed, np.float32)
        self._sums: Float32[np.ndarray, " columns"] = self._sum(ones)

    def __call__(self, envelope: Float32[np.ndarray, " needed"]) -> Float32[np.ndarray, " columns"]:
        """The pixels."""
        return np.asarray(self._sum(envelope) / self._sums)

    def _sum(self, envelope: Float32[np.ndarray, " needed"]) -> Float32[np.ndarray, " columns"]:
        even, odd = self._weights() if self._kept is None else self._kept
        even, odd = (np.add.reduceat(envelope * weights, self._edges[:-1]) for weights in (even, odd))
        pixels: Float32[np.ndarray, " columns"] = even + odd
        pixels[1:] += (even - odd)[:-1]
        return pixels

    def _weights(self) -> tuple[Float32[np.ndarray, " needed"], Float32[np.ndarray, " needed"]]:
        """Weights `even + odd` of each point for the pixel before it, `even - odd` for the pixel after it.

        The window `0.42 + 0.5 cos(pi x) + 0.08 cos(2 pi x)`, x pixels from its middle, taken at x and at 1 - x.
        """
        pixel = np.repeat(np.arange(len(self._edges) - 1, dtype=np.float64), np.diff(self._edges))
        after = np.arange(self.needed) * self._per_point - pixel
        cosine = np.cos((np.pi * after).astype(np.float32))
        return np.float32(0.34) + np.float32(0.16) * cosine * cosine, np.float32(0.5) * cosine


class Whole:
    """Rows computed over the whole padded clip at once.

    The signal may be the clip itself, the clip brought to a lower rate (low bands need no more), or the clip with its
    frequencies mirrored, so that Nyquist is at 0, and then brought to a lower rate. All cover the same time.
    """

    def __init__(
        self, grid: Grid, bands: list[Band], means: dict[int, PixelMeans], points: int, mirrored: bool = False
    ) -> None:
        """`points`: length of the padded signal. `means`: by number of envelope points, where above a pixel's."""
        self._grid, self._points, self._mirrored, self._means = grid, points, mirrored, means
        # Where the padded length is odd, Nyquist lies half way between two bins.
        self._between = mirrored and grid.samples % 2 == 1
        self._groups: dict[int, list[tuple[int, int, Float32[np.ndarray, " bins"]]]] = defaultdict(list)
        for band in bands:
            bins = np.arange(band.first, band.stop) + 1
            gain = (band.gain(bins.astype(np.float64)) * 2 / points).astype(np.float32)
            first = grid.samples // 2 - bins[-1] if mirrored else bins[0]
            self._groups[band.points].append((band.row, int(first), gain[::-1] if mirrored else gain))

    def draw(self, signal: Float32[np.ndarray, " samples"], picture: Float32[np.ndarray, "rows columns"]) -> None:
        """Write the rows of these bands into the picture; amplitude 1 is a tone of amplitude 1 at a band's centre."""
        spectrum = self._spectrum(signal)
        columns = picture.shape[1]
        for points, bands in self._groups.items():
            slices = aligned_zeros(len(bands), points, dtype=torch.complex64)
            for out, (_, first, gain) in zip(slices, bands, strict=True):
                np.multiply(spectrum[first : first + len(gain)], gain, out=out[: len(gain)])
            envelopes = inverse(slices)
            rows = [row for row, _, _ in bands]
            if points == self._grid.pixels:
                picture[rows] = np.abs(envelopes[:, :columns])
            else:
                means = self._means[points]
                picture[rows] = [means(np.abs(envelope[: means.needed]))[:columns] for envelope in envelopes]

    def _spectrum(self, signal: Float32[np.ndarray, " samples"]) -> Complex64[np.ndarray, " bins"]:
        if self._between:
            time = np.arange(self._points)
            # The end of the padding is the time just before the clip.
            time[self._points * (self._grid.columns + self._grid.pixels) // (2 * self._grid.pixels) :] -= self._points
            return np.asarray(scipy.fft.fft(signal * np.exp(-1j * np.pi / self._points * time).astype(np.complex64)))
        padded = aligned_zeros(1, self._points)
        padded[0, : len(signal)] = signal
        spectrum: Complex64[np.ndarray, " bins"] = forward(padded)[0]
        # The tool counts the bin at Nyquist, which is real, as R + jR; mirroring takes the conjugate.
        if self._mirrored:
            spectrum[0] *= 1 - 1j
        elif self._points == self._grid.samples and self._points % 2 == 0:
            spectrum[-1] *= 1 + 1j
        return spectrum


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
