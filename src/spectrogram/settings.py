"""What the spectrograms' settings have in common: how a wrong one is refused, and what brightness refers to."""

from src.errors import UserError

REFERENCES = ("full_scale", "peak")


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
