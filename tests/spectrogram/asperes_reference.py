"""The asperes spectrogram as its specification reads, in float64 and without any shortcut: the oracle of the tests."""

import math

import numpy as np
import scipy.fft
from jaxtyping import Float64

GREY = 255


def rnd(x: float) -> int:
    return math.trunc(x + 0.5)


def smooth(n: int) -> int:
    return min(2**a * 3**b for a in range(40) for b in range(26) if 2**a * 3**b >= n)


def padded_length(n: int, rate: int, fmin: float, per_octave: int, per_second: int) -> int:
    p, q = per_second / rate, 2 ** (-1 / per_octave)
    length = n - 1 + rnd(10 / ((fmin / rate) * q * (1 - q)))
    length += length % 2
    return rnd(smooth(rnd(length * p)) / p)


def amplitude(
    samples: np.ndarray,
    rate: int,
    *,
    fmin: float = 20,
    fmax: float = 20000,
    bins_per_octave: int = 12,
    pixels_per_second: int = 100,
) -> Float64[np.ndarray, "rows columns"]:
    """Envelopes over the padded length, one row a band, the highest first: 1 is a steady tone of amplitude 1."""
    rows = 1 + rnd(bins_per_octave * math.log2(fmax / fmin))
    length = padded_length(len(samples), rate, fmin, bins_per_octave, pixels_per_second)
    pixels = rnd(length * (pixels_per_second / rate))
    spectrum = scipy.fft.rfft(samples.astype(np.float64), length)
    if length % 2 == 0:
        spectrum[-1] = spectrum[-1].real * (1 + 1j)
    picture = np.zeros((rows, math.ceil(len(samples) * (pixels_per_second / rate))))
    for band in range(rows):
        low, high = (rnd(fmin * 2 ** (b / bins_per_octave) * length / rate) for b in (band - 1, band + 1))
        first, stop = max(low, 1), min(high, length // 2)
        if stop <= first:
            continue
        t = (np.log(np.arange(first, stop)) - np.log(low)) / (np.log(high) - np.log(low))
        gain = 0.5 - 0.5 * np.cos(2 * np.pi * t)
        points = max(2 * (stop - first) + 1, pixels)
        points = smooth(points) if points > pixels else points
        envelope = 2 * np.abs(scipy.fft.ifft(gain * spectrum[first + 1 : stop + 1], points, norm="forward"))
        picture[rows - 1 - band] = _pixels(envelope, pixels, picture.shape[1])
    return picture / length


def _pixels(envelope: Float64[np.ndarray, " points"], pixels: int, columns: int) -> Float64[np.ndarray, " columns"]:
    if len(envelope) == pixels:
        return envelope[:columns]
    r = len(envelope) / pixels
    i = np.arange(columns)[:, None]
    j = np.floor(i * r - r).astype(int) + np.arange(math.ceil(2 * r) + 2)
    y = (j - i * r + r) / r
    weights = np.where(
        (y >= 0) & (y <= 2) & (j >= 0) & (j < len(envelope)),
        0.42 - 0.5 * np.cos(np.pi * y) + 0.08 * np.cos(2 * np.pi * y),
        0,
    )
    means = (envelope[np.clip(j, 0, len(envelope) - 1)] * weights).sum(axis=1) / weights.sum(axis=1)
    return np.asarray(means)


def levels(found: np.ndarray, white: float) -> np.ndarray:
    """Grey levels with fractions, 255 for `white` and more."""
    return GREY * np.minimum(found / (white or 1), 1)
