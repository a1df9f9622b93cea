"""What is done to a waveform before its picture: the paper's conditions (sections 4 and 6)."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from src.data.waveform import Waveform
from src.errors import UserError


@dataclass(frozen=True)
class Preprocess:
    """Copies of the clip, each peak-normalised to a level, one after the other.

    Attributes:
        name: the condition, as tables show it.
        levels_dbfs: peak level of each copy in dB relative to full scale, in order. Empty: the clip as recorded.
    """

    name: str
    levels_dbfs: list[float]

    def __post_init__(self) -> None:
        if not all(-np.inf < level <= 0 for level in self.levels_dbfs):
            raise UserError(
                f"preprocess.levels_dbfs: got {list(self.levels_dbfs)}; expected levels of at most 0 dBFS, since a "
                "louder copy would clip. Give e.g. [-35,-30,-25,-20,-15,-10,-5,0]"
            )
        if (self.name == "unprocessed") != (not self.levels_dbfs) and self.name in ("unprocessed", "normalized"):
            raise UserError(
                f"preprocess.levels_dbfs: got {list(self.levels_dbfs)} for the condition {self.name!r}, which tables "
                f"would name wrongly; choose preprocess={'normalized' if self.levels_dbfs else 'unprocessed'}, or name "
                "it with preprocess.name=NAME"
            )

    def key(self) -> dict[str, Any]:
        """What determines the waveform; the name is for tables."""
        return {"levels_dbfs": [level + 0.0 for level in self.levels_dbfs]}  # -0.0 is 0.0

    def __call__(self, waveform: Waveform) -> Waveform:
        """Apply the levels; the peak is taken over all channels, and nothing is requantised.

        Silence has no peak to raise and stays silence (at the length the copies would have).
        """
        if not self.levels_dbfs:
            return waveform
        peak = float(np.abs(waveform.samples).max())
        gains = [10 ** (level / 20) / peak if peak > 0 else 1.0 for level in self.levels_dbfs]
        # A peak below 3e-39 cannot be raised to full scale by one float32.
        largest = float(np.finfo(np.float32).max)
        copies = [waveform.samples * np.float32(min(gain, largest)) for gain in gains]
        return Waveform(copies[0] if len(copies) == 1 else np.concatenate(copies, axis=1), waveform.sample_rate)
