"""The mel spectrogram most of the literature uses, on torchaudio's filters."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float32, Float64, UInt8
from torchaudio.functional import melscale_fbanks

from src.spectrogram.settings import loudest, require, require_reference

# Frames transformed at once: 512 of 2048 samples take 4 MB, whatever the clip's length.
_FRAMES_AT_ONCE = 512


@dataclass(frozen=True)
class Mel:
    """Energy in triangular bands spaced evenly on the mel scale (HTK's formula), in decibels or linear.

    A column's frame is centred on its instant and zero-padded at the clip's ends. Rows keep their frequencies at any
    sample rate; those above Nyquist are black.

    Attributes:
        n_fft: samples of the Hann window.
        pixels_per_second: columns for a second of sound.
        n_mels: rows.
        f_min: lower edge of the lowest band in Hz. f_max: upper edge of the highest in Hz; None: Nyquist.
        power: exponent of the magnitude that the bands sum: 1 magnitude, 2 power.
        range_db: decibels from black to white; None: brightness is linear in the summed magnitude or power.
        reference: `full_scale`: white is a steady tone of `white_amplitude`; `peak`: white is the clip's own maximum.
        white_amplitude: amplitude (1 is digital full scale) of the tone that is white under `full_scale`.
    """

    n_fft: int
    pixels_per_second: int
    n_mels: int
    f_min: float
    f_max: float | None
    power: float
    range_db: float | None
    reference: str
    white_amplitude: float

    def __post_init__(self) -> None:
        require(self.n_fft >= 16, "n_fft", self.n_fft, "16 samples or more")
        require(self.pixels_per_second >= 1, "pixels_per_second", self.pixels_per_second, "1 column or more")
        require(self.n_mels >= 1, "n_mels", self.n_mels, "1 row or more")
        require(self.f_min >= 0, "f_min", self.f_min, "0 Hz or more")
        wanted = f"Hz above f_min ({self.f_min}), or null for Nyquist"
        require(self.f_max is None or self.f_max > self.f_min, "f_max", self.f_max, wanted)
        require(self.power > 0, "power", self.power, "an exponent above 0, e.g. 1 (magnitude) or 2 (power)")
        require(self.range_db is None or self.range_db > 0, "range_db", self.range_db, "decibels above 0, or null")
        require(self.white_amplitude > 0, "white_amplitude", self.white_amplitude, "an amplitude above 0")
        require_reference(self.reference)

    @property
    def columns_per_second(self) -> float:
        """Columns for a second of sound."""
        return float(self.pixels_per_second)

    def frequencies(self, sample_rate: int) -> Float64[np.ndarray, " rows"]:
        """Centre of each row in Hz, top row first."""
        return self._edges(sample_rate)[-2:0:-1].copy()

    def picture(self, samples: Float32[np.ndarray, " samples"], sample_rate: int) -> UInt8[np.ndarray, "rows columns"]:
        """Draw one signal; `sample_rate` in Hz. Silence is all 0.

        Raises:
            UserError: if a sample is not finite.
        """
        # Divided by its own maximum, the clip stays inside float32 however quiet or loud it is.
        unit = loudest(samples) or 1.0
        mel = self._mel(samples / np.float32(unit), sample_rate).astype(np.float64)
        white = float(mel.max()) if self.reference == "peak" else (self.white_amplitude / unit) ** self.power
        if white > 0:
            mel /= white
        if self.range_db is not None:
            floor = 10 ** (-self.range_db * self.power / 20)
            mel = 1 + 20 / self.power / self.range_db * np.log10(np.maximum(mel, floor))
        levels: UInt8[np.ndarray, "rows columns"] = (255 * np.clip(mel[::-1], 0, 1)).astype(np.uint8)
        return levels

    def _edges(self, sample_rate: int) -> Float64[np.ndarray, " edges"]:
        """Where the bands meet in Hz, `n_mels + 2` of them: band i rises from edge i to i + 1 and falls to i + 2."""
        top = sample_rate / 2 if self.f_max is None else self.f_max
        low, high = (2595 * math.log10(1 + hz / 700) for hz in (min(self.f_min, top), top))
        mels = np.linspace(low, high, self.n_mels + 2, dtype=np.float64)
        return 700 * (10 ** (mels / 2595) - 1)

    def _mel(self, samples: Float32[np.ndarray, " samples"], sample_rate: int) -> Float32[np.ndarray, "mels columns"]:
        """Band sums, lowest band first; 1 for a steady tone of amplitude 1 in a band wider than the window's lobe."""
        bank, n_fft = _bank(tuple(self._edges(sample_rate)), sample_rate, self.n_fft)
        window = torch.hann_window(self.n_fft)
        # The frame of column 0 is centred on sample 0, so half of it lies before the clip.
        padded = torch.from_numpy(np.pad(samples, (self.n_fft // 2, self.n_fft)))
        columns = math.ceil(len(samples) * self.pixels_per_second / sample_rate)
        starts = (torch.arange(columns, dtype=torch.float64) * sample_rate / self.pixels_per_second + 0.5).long()
        frames = padded.unfold(0, self.n_fft, 1)
        spectra = (torch.fft.rfft(frames[some] * window, n_fft).abs() for some in torch.split(starts, _FRAMES_AT_ONCE))
        mel = torch.cat([spectrum.pow_(self.power) @ bank for spectrum in spectra])
        lobe = torch.fft.fft(window, n_fft).abs().pow(self.power).sum() / 2**self.power
        summed: Float32[np.ndarray, "mels columns"] = (mel / lobe).T.numpy()
        return summed


@lru_cache(maxsize=16)
def _bank(edges: tuple[float, ...], sample_rate: int, window: int) -> tuple[Float32[torch.Tensor, "bins mels"], int]:
    """Triangles that peak at 1 between neighbouring `edges` (Hz), and the length of transform that they are for.

    Where the lowest band is narrower than a bin of the window's own transform, frames are transformed with zeros
    behind them, so that no band falls between two bins. Bands above Nyquist are 0.
    """
    narrowest = edges[2] - edges[0]
    n_fft = window
    while narrowest > 0 and sample_rate / n_fft >= narrowest:
        n_fft *= 2
    bins = torch.linspace(0, sample_rate // 2, n_fft // 2 + 1, dtype=torch.float64)
    lower, upper = (torch.tensor(some, dtype=torch.float64)[:, None] for some in (edges[:-2], edges[2:]))
    # Filters without a bin are all above Nyquist; torchaudio warns of them.
    audible = int(((bins > lower) & (bins < upper)).any(dim=1).sum())
    bank = torch.zeros(len(bins), len(edges) - 2)
    if audible:
        bank[:, :audible] = melscale_fbanks(len(bins), edges[0], edges[audible + 1], audible, sample_rate)
    return bank, n_fft
