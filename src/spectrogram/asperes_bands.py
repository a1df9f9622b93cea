"""What the asperes spectrogram is made of: the padded length, the bands, and the gain of each band's filter.

Bins are those of the transform of the whole padded clip: bin k is the frequency `k * sample_rate / samples`.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float64


def nearest(x: float) -> int:
    """The whole number nearest to a positive `x`, halves going up, as the tool rounds."""
    return math.trunc(x + 0.5)


def smooth(n: int) -> int:
    """The smallest 2^a 3^b that is at least `n`."""
    best, threes = 1 << (n - 1).bit_length(), 1
    while threes < best:
        best = min(best, threes << (-(-n // threes) - 1).bit_length())
        threes *= 3
    return best


@dataclass(frozen=True)
class Scale:
    """Which bands there are, and how wide a pixel is.

    Attributes:
        fmin: centre of band 0. bands: how many; band b is centred on `fmin * 2 ** (b / bins_per_octave)`.
    """

    fmin: float
    bands: int
    bins_per_octave: int
    pixels_per_second: int

    def centre(self, band: int) -> float:
        """Centre in Hz; `band` may lie outside the picture."""
        return float(self.fmin * 2 ** (band / self.bins_per_octave))

    def padding(self, sample_rate: int) -> int:
        """Zeros after the clip, in samples: ten periods of the lowest band's lower half."""
        ratio = 2 ** (-1 / self.bins_per_octave)
        return nearest(10 / ((self.fmin / sample_rate) * ratio * (1 - ratio)))


@dataclass(frozen=True)
class Band:
    """One row: a Hann window in log frequency over the bins `low` to `high`, of which `first` to `stop - 1` exist.

    Attributes:
        row: in the picture, 0 the highest band.
        points: of the envelope over the padded clip; more than one a pixel where the band is wide.
    """

    row: int
    low: int
    high: int
    first: int
    stop: int
    points: int

    def gain(self, bins: Float64[np.ndarray, " bins"]) -> Float64[np.ndarray, " bins"]:
        """The filter's gain at these bins, which may be fractions of one.

        The tool applies the window's value at bin k to bin k + 1; so does this.
        """
        bottom, top = math.log(self.low), math.log(self.high)
        position = np.clip((np.log(bins - 1) - bottom) / (top - bottom), 0, 1)
        return np.asarray(0.5 - 0.5 * np.cos(2 * np.pi * position))


@dataclass(frozen=True)
class Grid:
    """The padded clip that a picture is computed on: `samples` long, `pixels` wide. Clips of many lengths share one."""

    scale: Scale
    sample_rate: int
    samples: int
    pixels: int

    @classmethod
    def of_clip(cls, scale: Scale, samples: int, sample_rate: int) -> "Grid":
        """The grid of a clip of so many samples."""
        pixels_per_sample = scale.pixels_per_second / sample_rate
        padded = samples - 1 + scale.padding(sample_rate)
        padded += padded % 2
        padded = nearest(smooth(nearest(padded * pixels_per_sample)) / pixels_per_sample)
        return cls(scale, sample_rate, padded, nearest(padded * pixels_per_sample))

    @property
    def columns(self) -> int:
        """The most columns that a clip on this grid fills; the padding takes the other pixels."""
        filled = self.scale.padding(self.sample_rate) - 1
        return min(self.pixels, math.ceil(self.pixels + 0.5 - filled * self.scale.pixels_per_second / self.sample_rate))

    @cached_property
    def bands(self) -> list[Band]:
        """The bands below Nyquist, lowest first."""
        return [band for number in range(self.scale.bands) if (band := self._band(number)) is not None]

    def _band(self, number: int) -> Band | None:
        low, high = (nearest(self.scale.centre(b) * self.samples / self.sample_rate) for b in (number - 1, number + 1))
        first, stop = max(low, 1), min(high, self.samples // 2)
        if stop <= first:
            return None
        points = max(2 * (stop - first) + 1, self.pixels)
        points = smooth(points) if points > self.pixels else points
        return Band(self.scale.bands - 1 - number, low, high, first, stop, points)
