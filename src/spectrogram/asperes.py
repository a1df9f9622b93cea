"""The paper's spectrogram: amplitude in bands of constant musical width, computed as the asperes tool does."""

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float32, Float64, UInt8

from src.errors import UserError


def _rnd(x: float) -> int:
    return math.trunc(x + 0.5)


def _smooth(n: int) -> int:
    best = 1 << (n - 1).bit_length()
    three = 1
    while three < best:
        best = min(best, three << max(0, (-(-n // three) - 1).bit_length()))
        three *= 3
    return best


@dataclass(frozen=True)
class Asperes:
    min_hz: float
    max_hz: float
    bands_per_octave: int
    pixels_per_second: int
    reference: str
    white_amplitude: float

    def __post_init__(self) -> None:
        if self.reference not in ("full_scale", "peak"):
            raise UserError(f"spectrogram.reference: got {self.reference!r}; expected full_scale or peak")

    @property
    def columns_per_second(self) -> float:
        return float(self.pixels_per_second)

    @property
    def _rows(self) -> int:
        return 1 + _rnd(self.bands_per_octave * math.log2(self.max_hz / self.min_hz))

    def frequencies(self, sample_rate: int) -> Float64[np.ndarray, " rows"]:
        return self.min_hz * 2.0 ** (np.arange(self._rows)[::-1] / self.bands_per_octave)

    def picture(self, samples: Float32[np.ndarray, " samples"], sample_rate: int) -> UInt8[np.ndarray, "rows columns"]:
        n = len(samples)
        p = self.pixels_per_second / sample_rate
        width = math.ceil(n * p)
        q = 2 ** (-1 / self.bands_per_octave)
        m = n - 1 + _rnd(10 / ((self.min_hz / sample_rate) * q * (1 - q)))
        m += m % 2
        m = _rnd(_smooth(_rnd(m * p)) / p)
        padded = torch.zeros(m)
        padded[:n] = torch.from_numpy(samples)
        spectrum = torch.fft.rfft(padded)
        if m % 2 == 0:
            spectrum[-1] = complex(spectrum[-1].real, spectrum[-1].real)
        out = torch.zeros(self._rows, width)
        for band in range(self._rows):
            found = _band(self.min_hz, self.bands_per_octave, band, m, sample_rate, _rnd(m * p))
            if found is None:
                continue
            a, g, length, decimate = found
            env = 2 * torch.fft.ifft(spectrum[a + 1 : a + 1 + len(g)] * g, length, norm="forward").abs()
            out[self._rows - 1 - band] = (env if decimate is None else decimate @ env)[:width]
        if self.reference == "peak":
            peak = float(out.max())
            out /= peak or 1.0
        else:
            out = (out / (m * self.white_amplitude)).clip_(max=1)
        return (255 * out).to(torch.uint8).numpy()


@lru_cache(maxsize=1024)
def _band(min_hz: float, per_octave: int, band: int, m: int, sr: int, w: int):
    centre = lambda b: min_hz * 2 ** (b / per_octave)
    lo, hi = _rnd(centre(band - 1) * m / sr), _rnd(centre(band + 1) * m / sr)
    a, d = max(lo, 1), min(hi, m // 2)
    k = d - a
    if k <= 0:
        return None
    t = (np.log(np.arange(a, d)) - math.log(lo)) / (math.log(hi) - math.log(lo))
    g = torch.from_numpy((0.5 - 0.5 * np.cos(2 * np.pi * t)).astype(np.float32))
    length = max(2 * k + 1, w)
    if length == w:
        return a, g, length, None
    length = _smooth(length)
    r = length / w
    rows, cols, values = [], [], []
    for i in range(w):
        j = np.arange(max(math.ceil(i * r - r), 0), min(math.floor(i * r + r), length - 1) + 1)
        y = (j - i * r + r) / r
        v = 0.42 - 0.5 * np.cos(np.pi * y) + 0.08 * np.cos(2 * np.pi * y)
        rows.append(np.full(len(j), i)), cols.append(j), values.append(v / v.sum())
    starts = np.concatenate([[0], np.cumsum([len(c) for c in cols])])
    return (
        a,
        g,
        length,
        torch.sparse_csr_tensor(
            torch.from_numpy(starts),
            torch.from_numpy(np.concatenate(cols)),
            torch.from_numpy(np.concatenate(values).astype(np.float32)),
            (w, length),
        ),
    )
