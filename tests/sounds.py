"""Synthetic sounds."""

import numpy as np


def make_tone(
    hz: float = 440.0,
    seconds: float = 0.5,
    rate: int = 8000,
    *,
    channels: int = 1,
    amplitude: float = 0.5,
    noise: float = 0.0,
    seed: int = 0,
) -> np.ndarray:
    """A sine with white noise, float32 (samples, channels); channel k is 2^-k of the first."""
    count = round(seconds * rate)
    wave = amplitude * np.sin(2 * np.pi * hz * np.arange(count) / rate)
    wave += noise * np.random.default_rng(seed).standard_normal(count)
    return (wave[:, None] * 0.5 ** np.arange(channels)).astype(np.float32)
