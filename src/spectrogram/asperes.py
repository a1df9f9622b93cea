"""The paper's spectrogram: amplitude in bands of constant musical width, as the asperes tool draws it."""

import math
from dataclasses import dataclass
from importlib import import_module
from typing import ClassVar

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from src.spectrogram.asperes_bands import Grid, Scale, nearest
from src.spectrogram.settings import Settings, loudest, require


@dataclass(frozen=True)
class Asperes(Settings):
    """Linear amplitude in logarithmically spaced bands, each a Hann window over two bands' width in log frequency.

    Rows are the same at any sample rate; those above Nyquist are black.

    Attributes:
        fmin: centre of the lowest band in Hz. fmax: the highest band is the one nearest to this, in Hz.
        bins_per_octave: 12 for semitones.
        white_amplitude: amplitude (1 is digital full scale) of the tone that is white under `full_scale`.
    """

    fmin: float
    fmax: float
    bins_per_octave: int
    pixels_per_second: int
    reference: str
    white_amplitude: float

    name: ClassVar[str] = "asperes"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.fmin >= 1, "fmin", self.fmin, "1 Hz or more (the clip is padded by ten periods of it)")
        require(self.fmax > self.fmin, "fmax", self.fmax, f"Hz above fmin ({self.fmin})")
        require(1 <= self.bins_per_octave <= 96, "bins_per_octave", self.bins_per_octave, "1 to 96")

    @property
    def _scale(self) -> Scale:
        bands = 1 + nearest(self.bins_per_octave * math.log2(self.fmax / self.fmin))
        return Scale(self.fmin, bands, self.bins_per_octave, self.pixels_per_second)

    def frequencies(self, sample_rate: int) -> Float64[np.ndarray, " rows"]:
        """Centre of each row in Hz, top row first; the same at every sample rate."""
        scale = self._scale
        return np.array([scale.centre(band) for band in reversed(range(scale.bands))])

    def load(self) -> None:
        """Import torch and SciPy."""
        import_module("src.spectrogram.asperes_envelopes")

    def picture(self, samples: Float32[np.ndarray, " samples"], sample_rate: int) -> UInt8[np.ndarray, "rows columns"]:
        """Draw one signal; `sample_rate` in Hz. Silence is all 0.

        Raises:
            UserError: if a sample is not finite.
        """
        levels = self._levels(samples, sample_rate)
        picture: UInt8[np.ndarray, "rows columns"] = np.minimum(levels, 255, out=levels).astype(np.uint8)
        return picture

    def _levels(
        self, samples: Float32[np.ndarray, " samples"], sample_rate: int
    ) -> Float32[np.ndarray, "rows columns"]:
        """Brightness before it is cut to a byte: proportional to amplitude, 255 is white, more is possible."""
        highest = loudest(samples)
        if highest == 0:
            return np.zeros((self._scale.bands, self._width(len(samples), sample_rate)), np.float32)
        # Brought near 1 by a power of two, which changes no digit, a clip stays inside float32 at any loudness.
        unit = 2.0 ** max(math.frexp(highest)[1], -120)
        amplitude = self._amplitude(samples * np.float32(1 / unit), sample_rate)
        white = float(amplitude.max()) if self.reference == "peak" else self.white_amplitude / unit
        if white > 0:
            amplitude *= min(255 / white, 1e38)
        return amplitude

    def _width(self, samples: int, sample_rate: int) -> int:
        return math.ceil(samples * (self.pixels_per_second / sample_rate))

    def _amplitude(
        self, samples: Float32[np.ndarray, " samples"], sample_rate: int
    ) -> Float32[np.ndarray, "rows columns"]:
        """Of each band over each pixel; a steady tone at a band's centre shows its own amplitude."""
        from src.spectrogram.asperes_envelopes import PLANS  # torch and SciPy, which settings are checked without

        picture = np.zeros((self._scale.bands, self._width(len(samples), sample_rate)), np.float32)
        PLANS.of(Grid.of_clip(self._scale, len(samples), sample_rate)).draw(samples, picture)
        return picture
