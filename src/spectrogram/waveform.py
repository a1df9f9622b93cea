"""The drawn waveform: the plainest picture of a sound, a control for what the spectrogram adds."""

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float32, UInt8

from src.spectrogram.settings import Settings, loudest, require


@dataclass(frozen=True)
class WaveformPicture(Settings):
    """White trace on black, as an audio editor draws it: each column spans the least to the greatest sample.

    Attributes:
        height: rows; the top one is the amplitude 1 of the reference, the bottom one -1.
    """

    height: int
    pixels_per_second: int
    reference: str

    name: ClassVar[str] = "waveform"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.height >= 2, "height", self.height, "2 rows or more")

    def frequencies(self, sample_rate: int) -> None:
        """None: the rows are amplitudes, not frequencies."""
        return

    def picture(self, samples: Float32[np.ndarray, " samples"], sample_rate: int) -> UInt8[np.ndarray, "rows columns"]:
        """Draw one signal; `sample_rate` in Hz. Silence is a line through the middle.

        A column's span starts at the last sample of the column before it, so that the trace never breaks.

        Raises:
            UserError: if a sample is not finite.
        """
        n, highest = len(samples), loudest(samples)
        scale = (highest or 1.0) if self.reference == "peak" else 1.0
        width = math.ceil(n * self.pixels_per_second / sample_rate)
        edges = np.arange(width + 1) * sample_rate / self.pixels_per_second
        first = np.clip(np.floor(edges[:-1]).astype(np.int64) - 1, 0, n - 1)
        stop = np.clip(np.ceil(edges[1:]).astype(np.int64), first + 1, n)
        # The one sample added after the end lets a span stop at n, which reduceat does not take as an index.
        spans = np.stack([first, stop], axis=1).ravel()
        added = np.append(samples, samples[-1])
        low = self._row(np.minimum.reduceat(added, spans)[::2] / scale)
        high = self._row(np.maximum.reduceat(added, spans)[::2] / scale)
        rows = np.arange(self.height)[:, None]
        return np.where((rows >= high) & (rows <= low), 255, 0).astype(np.uint8)

    def _row(self, amplitude: Float32[np.ndarray, " columns"]) -> Float32[np.ndarray, " columns"]:
        """The row that an amplitude is drawn in, as a whole number; row 0 is the top."""
        return np.asarray(np.rint((1 - np.clip(amplitude, -1, 1)) / 2 * (self.height - 1)))
