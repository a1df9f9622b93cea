"""What every spectrogram refuses, and how it says so."""

import math
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float32

from src.errors import UserError

REFERENCES = ("full_scale", "peak")


class Settings:
    """What the settings of every spectrogram, which are dataclasses, have in common.

    Attributes:
        pixels_per_second: columns for a second of sound.
        reference: what white is: `full_scale`, so that a louder clip is a brighter image, or `peak`, its own maximum.
    """

    pixels_per_second: int
    reference: str

    name: ClassVar[str]

    def __post_init__(self) -> None:
        require(1 <= self.pixels_per_second <= 1000, "pixels_per_second", self.pixels_per_second, "1 to 1000 columns")
        require(self.reference in REFERENCES, "reference", self.reference, f"one of {', '.join(REFERENCES)}")
        white = getattr(self, "white_amplitude", 1.0)
        require(white > 0, "white_amplitude", white, "an amplitude above 0")

    def key(self) -> dict[str, Any]:
        """What determines the image of a signal; under `peak` there is no amplitude that is white."""
        settings = dict(vars(self))
        if self.reference == "peak":
            settings.pop("white_amplitude", None)
        return {"spectrogram": self.name, **settings}

    @property
    def columns_per_second(self) -> float:
        """Columns for a second of sound."""
        return float(self.pixels_per_second)

    def load(self) -> None:
        """Import what `picture` needs and checking settings does not, before clips are timed and processes forked."""


def require(good: bool, key: str, got: object, wanted: str) -> None:
    """Refuse a setting by name.

    Raises:
        UserError: unless `good`; the message names `spectrogram.key`, what came and what was wanted.
    """
    if not good:
        raise UserError(f"spectrogram.{key}: got {got!r}; expected {wanted}")


def loudest(samples: Float32[np.ndarray, " samples"]) -> float:
    """The largest magnitude of a signal.

    Raises:
        UserError: if a sample is not finite.
    """
    found = max(float(samples.max()), -float(samples.min()))
    if not math.isfinite(found):
        raise UserError(
            "samples: got NaN or infinity; expected finite amplitudes, around -1 to 1; the file is broken, "
            "or the preprocessing divided by nothing; leave the clip out or convert it again"
        )
    return found
