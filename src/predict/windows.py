"""How a file is cut into windows, and what a model says of each and of all."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from src.data.audio import Window
from src.data.windows import window_starts
from src.errors import UserError
from src.tracking.model_card import ModelCard

# The same recording by another encoder may be longer: what it put in front is not always said.
_SLACK = 0.1


@dataclass(frozen=True)
class Cutting:
    """Windows at equal distances, in seconds.

    Attributes:
        first: where the first one begins. length: of each. sample_rate: as in `Window`.
        hop: from one to the next; None: their length.
        whole: a file that lasts at most this long (from `first` on) is one window to its end; None: none is.
    """

    first: float
    length: float
    whole: float | None
    sample_rate: int | None
    hop: float | None = None

    def __post_init__(self) -> None:
        if not self.first >= 0:
            raise UserError(f"start={self.first}: expected seconds from a file's beginning, 0 or more")
        if not self.length > 0:
            raise UserError(f"window={self.length}: expected seconds above 0")

    @classmethod
    def of(
        cls, trained: Window, card: ModelCard, *, start: float | None, window: float | None, hop: float | None = None
    ) -> "Cutting":
        """As a model's training clips were cut, but for what is asked for.

        Where it was trained on whole files, a file longer than all of them is cut into their median length.

        Args:
            trained: the pipeline's window. start: second where the first window begins; None: 0. window: seconds; None:
                as in training.
            hop: seconds from one window to the next; None: their length.
        """
        whole = card.longest_seconds + _SLACK if trained.duration is None and window is None else None
        return cls(start or 0.0, window or trained.duration or card.typical_seconds, whole, trained.sample_rate, hop)

    def after(self, first: float) -> "Cutting":
        """The same from another second on."""
        return replace(self, first=first)

    def windows(self, seconds: float) -> list[Window]:
        """Windows of a file of this length: one at least; a rest of half a window or more is the last one."""
        left = seconds - self.first
        if self.whole is not None and left <= self.whole:
            return [Window(self.first, None, self.sample_rate)]
        starts = window_starts(seconds, self.first, self.length, self.hop)
        return [Window(start, self.length, self.sample_rate) for start in starts]


@dataclass(frozen=True, eq=False)
class Scored:
    """One window.

    Attributes:
        start, end: in seconds of the file. warnings: as `RenderStats.warnings` has them, e.g. `silent`.
        distance: to the training clips, 0 to 2; None: not asked for.
    """

    start: float
    end: float
    probabilities: Float32[np.ndarray, " classes"]
    warnings: tuple[str, ...] = ()
    distance: float | None = None


@dataclass(frozen=True, eq=False)
class Prediction:
    """One file: its windows in order, one at least.

    Attributes:
        nyquist: half the file's sample rate, in Hz; 0 where it is not known.
    """

    path: Path
    windows: tuple[Scored, ...]
    nyquist: float = 0.0

    @property
    def overall(self) -> Scored:
        """The only window, or the mean of the probabilities of all."""
        if len(self.windows) == 1:
            return self.windows[0]
        rows = np.stack([one.probabilities for one in self.windows])
        mean: np.ndarray = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
        warnings = tuple(kind for kind in self.windows[0].warnings if all(kind in one.warnings for one in self.windows))
        distances = [one.distance for one in self.windows if one.distance is not None]
        distance = sum(distances) / len(distances) if distances else None
        return Scored(self.windows[0].start, self.windows[-1].end, mean, warnings, distance)


@dataclass(frozen=True)
class Failure:
    """A file that cannot be used, and why; the reason names it."""

    path: Path
    reason: str
