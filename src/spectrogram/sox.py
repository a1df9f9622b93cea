"""Colour for magnitude: the paper's bands in the colours of the sox tool's spectrogram."""

from dataclasses import dataclass
from functools import cache
from typing import ClassVar

import numpy as np
from jaxtyping import Float32, UInt8

from src.spectrogram.asperes import Asperes
from src.spectrogram.settings import require

# Red, green and blue at places between the quietest (0) and the loudest (1), straight lines between them: read off the
# palette of pictures that the tool (14.4.2) made, whose 249 colours these lines meet within 6 levels of 255.
_RAMP = {
    0.000: (0, 0, 0), 0.133: (1, 0, 81), 0.226: (62, 0, 118), 0.302: (110, 0, 128), 0.371: (149, 0, 120),
    0.440: (183, 0, 97), 0.605: (240, 0, 0), 0.714: (255, 133, 0), 0.786: (255, 202, 0), 0.863: (255, 246, 88),
    0.907: (255, 255, 139), 1.000: (255, 255, 246),
}  # fmt: skip


@dataclass(frozen=True)
class Sox(Asperes):
    """The bands of `Asperes`, each magnitude in decibels and as a colour: black, blue, purple, red, orange, yellow.

    The tool itself spaces its bands evenly in hertz; here rows and columns stay the paper's, so that the colour is all
    that differs.

    Attributes:
        range_db: decibels from black up to the last colour; the tool's own are 120 below digital full scale. None:
            colours follow the amplitude itself, as the grey levels do.
    """

    range_db: float | None

    name: ClassVar[str] = "sox"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.range_db is None or self.range_db > 0, "range_db", self.range_db, "decibels above 0, or null")

    def picture(
        self, samples: Float32[np.ndarray, " samples"], sample_rate: int
    ) -> UInt8[np.ndarray, "rows columns 3"]:
        """Draw one signal; `sample_rate` in Hz. Silence is all 0.

        Raises:
            UserError: if a sample is not finite.
        """
        share: Float32[np.ndarray, "rows columns"] = self._levels(samples, sample_rate) / np.float32(255)
        if self.range_db is not None:
            floor = np.float32(10 ** (-self.range_db / 20))
            share = np.float32(1) + np.float32(20 / self.range_db) * np.log10(np.maximum(share, floor))
        coloured: UInt8[np.ndarray, "rows columns 3"] = colours()[(255 * np.clip(share, 0, 1)).astype(np.uint8)]
        return coloured


@cache
def colours() -> UInt8[np.ndarray, "levels 3"]:
    """256 colours, the quietest first."""
    places = np.linspace(0, 1, 256)
    channels = [np.interp(places, list(_RAMP), channel) for channel in zip(*_RAMP.values(), strict=True)]
    ramp: UInt8[np.ndarray, "levels 3"] = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    return ramp
