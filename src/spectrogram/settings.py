"""What every spectrogram refuses, and how it says so."""

import math

import numpy as np
from jaxtyping import Float32

from src.errors import UserError

REFERENCES = ("full_scale", "peak")


def brightness(reference: str, white_amplitude: float) -> dict[str, str | float]:
    """What determines brightness: under `peak` there is no amplitude that is white."""
    return {"reference": reference} | ({"white_amplitude": white_amplitude} if reference == "full_scale" else {})


def require(good: bool, key: str, got: object, wanted: str) -> None:
    """Refuse a setting by name.

    Raises:
        UserError: unless `good`; the message names `spectrogram.key`, what came and what was wanted.
    """
    if not good:
        raise UserError(f"spectrogram.{key}: got {got!r}; expected {wanted}")


def require_reference(reference: str) -> None:
    """Refuse anything but the two known references of brightness.

    Raises:
        UserError: if `reference` is neither `full_scale` (a louder clip is brighter) nor `peak` (it is not).
    """
    require(reference in REFERENCES, "reference", reference, f"one of {', '.join(REFERENCES)}")


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
