"""What a model says of a file, window by window and over all."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32


@dataclass(frozen=True, eq=False)
class Scored:
    """One window.

    Attributes:
        start, end: in seconds of the file. warnings: as `RenderStats.warnings` has them, e.g. `silent`.
    """

    start: float
    end: float
    probabilities: Float32[np.ndarray, " classes"]
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Prediction:
    """One file: its windows in order, one at least."""

    path: Path
    windows: tuple[Scored, ...]

    @property
    def overall(self) -> Scored:
        """The only window, or the mean of the probabilities of all."""
        if len(self.windows) == 1:
            return self.windows[0]
        rows = np.stack([one.probabilities for one in self.windows])
        mean: np.ndarray = rows.mean(axis=0, dtype=np.float64).astype(np.float32)
        warnings = tuple(kind for kind in self.windows[0].warnings if all(kind in one.warnings for one in self.windows))
        return Scored(self.windows[0].start, self.windows[-1].end, mean, warnings)


@dataclass(frozen=True)
class Failure:
    """A file that cannot be used, and why; the reason names it."""

    path: Path
    reason: str
