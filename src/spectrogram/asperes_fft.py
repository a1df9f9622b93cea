"""The transforms that take most of a picture's time, from two libraries for the sake of speed.

Torch's are the faster ones of several rows at lengths divisible by 4, SciPy's at others, by up to a factor of 2 either
way. A single row is SciPy's at any length: how torch rounds one depends on how many threads it may use.
"""

import numpy as np
import scipy.fft
import torch
from jaxtyping import Complex64, Float32


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
