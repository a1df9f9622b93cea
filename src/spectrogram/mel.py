"""The mel spectrogram most of the literature uses, on torchaudio's filters."""

import math
from dataclasses import dataclass
from importlib import import_module
from typing import ClassVar

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from src.spectrogram.settings import Settings, loudest, require


@dataclass(frozen=True)
class Mel(Settings):
    """Energy in triangular bands spaced evenly on the mel scale (HTK's formula), in decibels or linear.

    A column's frame is centred on its instant and zero-padded at the clip's ends. Rows keep their frequencies at any
    sample rate; those above Nyquist are black.

    Attributes:
        n_fft: samples of the Hann window.
        n_mels: rows.
        fmin: lower edge of the lowest band in Hz. fmax: upper edge of the highest in Hz; None: Nyquist.
        power: exponent of the magnitude that the bands sum: 1 magnitude, 2 power.
        range_db: decibels from black to white; None: brightness is linear in the summed magnitude or power.
        white_amplitude: amplitude (1 is digital full scale) of the tone that is white under `full_scale`.
    """

    n_fft: int
    pixels_per_second: int
    n_mels: int
    fmin: float
    fmax: float | None
    power: float
    range_db: float | None
    reference: str
    white_amplitude: float

    name: ClassVar[str] = "mel"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.n_fft >= 16, "n_fft", self.n_fft, "16 samples or more")
        require(self.n_mels >= 1, "n_mels", self.n_mels, "1 row or more")
        require(self.fmin >= 0, "fmin", self.fmin, "0 Hz or more")
        wanted = f"Hz above fmin ({self.fmin}), or null for Nyquist"
        require(self.fmax is None or self.fmax > self.fmin, "fmax", self.fmax, wanted)
        require(self.power > 0, "power", self.power, "an exponent above 0, e.g. 1 (magnitude) or 2 (power)")
        require(self.range_db is None or self.range_db > 0, "range_db", self.range_db, "decibels above 0, or null")

    def frequencies(self, sample_rate: int) -> Float64[np.ndarray, " rows"]:
        """Centre of each row in Hz, top row first."""
        return self.band_edges(sample_rate)[-2:0:-1].copy()

    def load(self) -> None:
        """Import torch and torchaudio."""
        import_module("src.spectrogram.mel_bands")

    def picture(self, samples: Float32[np.ndarray, " samples"], sample_rate: int) -> UInt8[np.ndarray, "rows columns"]:
        """Draw one signal; `sample_rate` in Hz. Silence is all 0.

        Raises:
            UserError: if a sample is not finite.
        """
        from src.spectrogram.mel_bands import band_sums  # torch, which settings are checked without

        # Divided by its own maximum, the clip stays inside float32 however quiet or loud it is.
        unit = loudest(samples) or 1.0
        mel = band_sums(
            samples / np.float32(unit),
            sample_rate,
            self.band_edges(sample_rate),
            n_fft=self.n_fft,
            pixels_per_second=self.pixels_per_second,
            power=self.power,
        ).astype(np.float64)
        white = float(mel.max()) if self.reference == "peak" else (self.white_amplitude / unit) ** self.power
        if white > 0:
            mel /= white
        if self.range_db is not None:
            floor = 10 ** (-self.range_db * self.power / 20)
            mel = 1 + 20 / self.power / self.range_db * np.log10(np.maximum(mel, floor))
        levels: UInt8[np.ndarray, "rows columns"] = (255 * np.clip(mel[::-1], 0, 1)).astype(np.uint8)
        return levels

    def band_edges(self, sample_rate: int) -> Float64[np.ndarray, " edges"]:
        """Where the bands meet in Hz, `n_mels + 2` of them: band i rises from edge i to i + 1 and falls to i + 2."""
        top = sample_rate / 2 if self.fmax is None else self.fmax
        low, high = (2595 * math.log10(1 + hz / 700) for hz in (min(self.fmin, top), top))
        mels = np.linspace(low, high, self.n_mels + 2, dtype=np.float64)
        return 700 * (10 ** (mels / 2595) - 1)
