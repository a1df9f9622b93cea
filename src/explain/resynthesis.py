"""A clip with only, and without, some of its cells: its own sound, taken apart by time and frequency."""

import numpy as np
from jaxtyping import Float32, Float64

from src.data.waveform import Waveform
from src.explain.grid import Cells, Grid

_OVERLAP = 4
_FRAMES_AT_ONCE = 256


def split(waveform: Waveform, grid: Grid, cells: Cells, window: float) -> tuple[Waveform, Waveform]:
    """The clip with only the cells, and without them; the two add up to the clip.

    Each frame of a short-time Fourier transform is divided between the two, bin by bin, and both are put together again
    by overlap and add. Phases stay as they are, so nothing is guessed. What the picture does not show (below its
    lowest band, above its highest) is in the second. Edges are as sharp as the window allows: in frequency about
    4 / window, in time about half a window.

    Args:
        window: seconds; the transform takes the nearest power of two in samples.
    """
    rate = waveform.sample_rate
    n = max(16, 2 ** round(np.log2(window * rate)))
    only = np.stack([_channel(channel, rate, grid, cells, n) for channel in waveform.samples])
    without = waveform.samples - only
    return Waveform(only.astype(np.float32), rate), Waveform(without.astype(np.float32), rate)


def _channel(
    samples: Float32[np.ndarray, " samples"], rate: int, grid: Grid, cells: Cells, n: int
) -> Float64[np.ndarray, " samples"]:
    """One channel with only the cells, in double precision.

    A Hann window before and after: shifted by a quarter of their length, their squares add up to 1.5 everywhere.
    """
    hop = n // _OVERLAP
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n) / n)
    padded = np.pad(samples.astype(np.float64), (n, 2 * n))
    frames = np.lib.stride_tricks.sliding_window_view(padded, n)[::hop]
    frequencies, middles = np.fft.rfftfreq(n, 1 / rate), (np.arange(len(frames)) * hop - n / 2) / rate
    result = np.zeros(len(padded))
    for start in range(0, len(frames), _FRAMES_AT_ONCE):
        some = slice(start, start + _FRAMES_AT_ONCE)
        spectra = np.fft.rfft(frames[some] * hann, axis=1)
        spectra *= grid.at(frequencies, middles[some], cells).T
        for offset, frame in enumerate(np.fft.irfft(spectra, n, axis=1) * hann, start=start):
            result[offset * hop : offset * hop + n] += frame
    return result[n : n + len(samples)] / (_OVERLAP * 3 / 8)
