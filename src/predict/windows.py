"""How a file is cut into windows as long as the clips that the model was trained on."""

from dataclasses import dataclass, replace

from src.data.audio import Window
from src.errors import UserError
from src.tracking.model_card import ModelCard

# The same recording by another encoder may be longer: what it put in front is not always said.
_SLACK = 0.1
_ROUNDING = 1e-6


@dataclass(frozen=True)
class Cutting:
    """Windows one after the other, in seconds.

    Attributes:
        first: where the first one begins. length: of each. sample_rate: as in `Window`.
        whole: a file that lasts at most this long (from `first` on) is one window to its end; None: none is.
    """

    first: float
    length: float
    whole: float | None
    sample_rate: int | None

    def __post_init__(self) -> None:
        if not self.first >= 0:
            raise UserError(f"start={self.first}: expected seconds from a file's beginning, 0 or more")
        if not self.length > 0:
            raise UserError(f"window={self.length}: expected seconds above 0")

    @classmethod
    def of(cls, trained: Window, card: ModelCard, *, start: float | None, window: float | None) -> "Cutting":
        """As a model's training clips were cut, but for what is asked for.

        Where it was trained on whole files, a file longer than all of them is cut into their median length.

        Args:
            trained: the pipeline's window. start: second where the first window begins; None: 0. window: seconds; None:
                as in training.
        """
        whole = card.longest_seconds + _SLACK if trained.duration is None and window is None else None
        return cls(start or 0.0, window or trained.duration or card.typical_seconds, whole, trained.sample_rate)

    def after(self, first: float) -> "Cutting":
        """The same from another second on."""
        return replace(self, first=first)

    def windows(self, seconds: float) -> list[Window]:
        """Windows of a file of this length: one at least; a rest of half a window or more is the last one."""
        left = seconds - self.first
        if self.whole is not None and left <= self.whole:
            return [Window(self.first, None, self.sample_rate)]
        count = max(1, int(left / self.length + 0.5 + _ROUNDING))
        return [Window(self.first + k * self.length, self.length, self.sample_rate) for k in range(count)]
