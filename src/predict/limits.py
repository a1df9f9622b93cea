"""What a served model takes on: more is refused before any of it is decoded."""

from dataclasses import asdict, dataclass

from src.errors import UserError

MEGA = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Bounds of one request, and how strict the model is about its machine (conf/predict.yaml).

    Attributes:
        request_mb: bytes of a request's body, in millions.
        clips: audio files in it. seconds: their duration, all together.
        decoded_mb: samples of one window, decoded, in millions of bytes.
        exact: whether another engine or device than the run's keeps the model from being loaded.
    """

    request_mb: float
    clips: int
    seconds: float
    decoded_mb: float
    exact: bool

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name != "exact" and not value > 0:
                raise UserError(f"limits.{name}={value:g}: expected more than 0")
