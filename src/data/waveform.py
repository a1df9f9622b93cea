"""Samples with their rate: what decoding hands to preprocessing."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32


@dataclass(frozen=True, eq=False)
class Waveform:
    """Audio of one clip, all channels kept.

    Attributes:
        samples: float32, full scale is [-1, 1); shape (channels, samples).
        sample_rate: in Hz.
    """

    samples: Float32[np.ndarray, "channels samples"]
    sample_rate: int

    @property
    def duration(self) -> float:
        """Length in seconds."""
        return int(self.samples.shape[1]) / self.sample_rate

    def mono(self, how: str) -> Float32[np.ndarray, " samples"]:
        """One channel: the mean of all (`mean`), or the first, as the original tool reads it (`left`)."""
        if how == "mean":
            mean: np.ndarray = self.samples.mean(axis=0, dtype=np.float32)
            return mean
        if how == "left":
            first: np.ndarray = self.samples[0]
            return first
        raise ValueError(f"mono: got {how!r}; expected 'mean' or 'left'")
