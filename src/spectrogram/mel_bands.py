"""Sums of a signal's short-time spectrum in mel bands, on torchaudio's filters."""

import math
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float32, Float64
from torchaudio.functional import melscale_fbanks

# Frames transformed at once: 512 of 2048 samples take 4 MB, whatever the clip's length.
_FRAMES_AT_ONCE = 512


def band_sums(
    samples: Float32[np.ndarray, " samples"],
    sample_rate: int,
    edges: Float64[np.ndarray, " edges"],
    *,
    n_fft: int,
    pixels_per_second: int,
    power: float,
) -> Float32[np.ndarray, "mels columns"]:
    """Band sums, lowest band first; 1 for a steady tone of amplitude 1 in a band wider than the window's lobe.

    Args:
        samples: one signal.
        sample_rate: in Hz.
        edges: where the bands meet in Hz; band i rises from edge i to i + 1 and falls to i + 2.
        n_fft: samples of the Hann window.
        pixels_per_second: columns for a second of sound.
        power: exponent of the magnitude that the bands sum.
    """
    bank, transformed = _bank(tuple(edges), sample_rate, n_fft)
    window = torch.hann_window(n_fft)
    # The frame of column 0 is centred on sample 0, so half of it lies before the clip.
    padded = torch.from_numpy(np.pad(samples, (n_fft // 2, n_fft)))
    columns = math.ceil(len(samples) * pixels_per_second / sample_rate)
    starts = (torch.arange(columns, dtype=torch.float64) * sample_rate / pixels_per_second + 0.5).long()
    frames = padded.unfold(0, n_fft, 1)
    spectra = (
        torch.fft.rfft(frames[some] * window, transformed).abs() for some in torch.split(starts, _FRAMES_AT_ONCE)
    )
    mel = torch.cat([spectrum.pow_(power) @ bank for spectrum in spectra])
    lobe = torch.fft.fft(window, transformed).abs().pow(power).sum() / 2**power
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
