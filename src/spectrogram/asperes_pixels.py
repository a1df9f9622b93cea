"""From an envelope with several points a pixel to pixels: means under a Blackman window two pixels wide.

With r points a pixel, pixel i is the mean of the points from (i - 1) r to (i + 1) r. The first pixel has half a window.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from jaxtyping import Float32, Float64, Int64
from scipy.sparse import csr_array

from src.spectrogram.asperes_fft import aligned_zeros

# Up to this many pixels before points and pixels coincide again, one small dense matrix is faster than a sparse one.
_SHORT_PERIOD = 16
# Rows of sparse weights computed at once; bounds the memory that building them takes.
_ROWS_AT_ONCE = 2048

PixelMeans = Callable[[Float32[np.ndarray, " points"]], Float32[np.ndarray, " columns"]]


def needed_points(points: int, pixels: int, columns: int) -> int:
    """How many of the envelope's `points`, which cover `pixels`, the first `columns` pixels draw on."""
    return min(columns * points // pixels, points - 1) + 1


def pixel_means(points: int, pixels: int, columns: int, keep: bool) -> PixelMeans:
    """The function from the first points of an envelope (see `needed_points`) to the first `columns` pixels.

    `keep`: hold on to sparse weights (16 bytes a point) rather than compute them at every call.
    """
    if pixels // math.gcd(points, pixels) <= _SHORT_PERIOD:
        return PeriodicMeans(points, pixels, columns)
    return SparseMeans(points, pixels, columns, keep)


def _blackman(position: Float64[np.ndarray, "..."]) -> Float64[np.ndarray, "..."]:
    """The window at positions from 0 to 2 pixels; 0 outside."""
    inside = (position >= 0) & (position <= 2)
    return inside * (0.42 - 0.5 * np.cos(np.pi * position) + 0.08 * np.cos(2 * np.pi * position))


class PeriodicMeans:
    """Means where a few pixels are a whole number of points: the same weights for every such period."""

    def __init__(self, points: int, pixels: int, columns: int) -> None:
        shared = math.gcd(points, pixels)
        self._columns, self._per_period, self._pixels = columns, points // shared, pixels // shared
        # A point of a period counts for the period's own pixels and the first one of the next.
        position = np.arange(self._per_period)[:, None] * (pixels / points) - np.arange(self._pixels + 1) + 1
        weights = _blackman(position)
        sums = weights.sum(axis=0)
        self._first = np.float32((sums[0] + sums[-1]) / sums[0])
        sums[[0, -1]] = sums[0] + sums[-1]
        self._weights = torch.tensor(weights / sums, dtype=torch.float32)

    def __call__(self, envelope: Float32[np.ndarray, " points"]) -> Float32[np.ndarray, " columns"]:
        """The pixels."""
        periods = -(-self._columns // self._pixels)
        points = aligned_zeros(periods * self._per_period)
        points[: len(envelope)] = envelope[: len(points)]
        shares = np.asarray(torch.from_numpy(points).view(periods, self._per_period) @ self._weights)
        pixels = shares[:, :-1].ravel()
        pixels[self._pixels :: self._pixels] += shares[:-1, -1]
        pixels[0] *= self._first
        return pixels[: self._columns]


class SparseMeans:
    """Means in general: a row of weights for every pixel."""

    def __init__(self, points: int, pixels: int, columns: int, keep: bool) -> None:
        self._points, self._pixels, self._columns = points, pixels, columns
        self._needed = needed_points(points, pixels, columns)
        self._kept = list(self._weights()) if keep else None

    def __call__(self, envelope: Float32[np.ndarray, " points"]) -> Float32[np.ndarray, " columns"]:
        """The pixels."""
        weights = self._weights() if self._kept is None else self._kept
        return np.concatenate([some @ envelope for some in weights])

    def _weights(self) -> Iterator[csr_array]:
        for first in range(0, self._columns, _ROWS_AT_ONCE):
            yield self._rows(np.arange(first, min(first + _ROWS_AT_ONCE, self._columns)))

    def _rows(self, pixel: Int64[np.ndarray, " rows"]) -> csr_array:
        """Weights of these pixels; each row sums to 1."""
        start = np.maximum(-((1 - pixel) * self._points // self._pixels), 0)
        stop = np.minimum((pixel + 1) * self._points // self._pixels, self._points - 1) + 1
        # Where the first point lies in the window, in pixels; from whole numbers, to be exact far into a long clip.
        inside = (start * self._pixels - (pixel - 1) * self._points) / self._points
        step = np.arange((stop - start).max())
        used = step < (stop - start)[:, None]
        angle = (np.pi * (inside[:, None] + step * (self._pixels / self._points))).astype(np.float32)
        weight = used * (np.float32(0.42) - np.float32(0.5) * np.cos(angle) + np.float32(0.08) * np.cos(2 * angle))
        weight /= weight.sum(axis=1, keepdims=True)
        point = (start[:, None] + step).astype(np.int32)
        ends = np.concatenate([[0], np.cumsum(stop - start)]).astype(np.int32)
        return csr_array((weight[used], point[used], ends), shape=(len(pixel), self._needed))
