"""Clips to draw: from the datasets on this machine, under the settings that a report is made with."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from src.config import build as configure
from src.data.audio import Window, decode
from src.data.clip import Clip
from src.data.dataset import DatasetSettings
from src.data.paths import Paths
from src.data.waveform import Waveform
from src.features.labelled import Progress, Runtime, list_clips
from src.features.pipeline import ImageTransform
from src.report.overrides import Typed, wanted


@dataclass(frozen=True, eq=False)
class Shown:
    """Clips of a dataset, and how they are drawn.

    Attributes:
        origin: `recorded` or `rendered`; provenance: what made the audio.
    """

    clips: tuple[Clip, ...]
    origin: str
    provenance: str
    image_transform: ImageTransform

    def waveform(self, clip: Clip, window: Window | None = None) -> Waveform:
        """The clip's sound, as recorded."""
        return decode(clip.path, clip.cut(window or self.image_transform.window))[0]

    def picture(self, clip: Clip) -> tuple[UInt8[np.ndarray, "rows columns *colours"], float]:
        """What the network gets of it before squashing, and how many seconds that is."""
        sound = self.waveform(clip)
        levels = max(1, len(self.image_transform.preprocess.levels_dbfs))
        return self.image_transform.picture(sound), sound.duration * levels

    def told(self, *clips: Clip) -> str:
        """Which clips these are, and where they come from."""
        made = self.provenance if self.provenance.startswith(self.origin) else f"{self.origin}, {self.provenance}"
        return f"{', '.join(clip.name for clip in clips)}: {made}"


class ClipLoader:
    """Finds clips and draws them."""

    def __init__(self, typed: Typed, workers: int, progress: Progress) -> None:
        """Nothing is read before it is asked for.

        Args:
            typed: overrides of the command line. workers: threads. progress: as in Runtime.
        """
        self._typed, self._workers, self._progress = typed, workers, progress
        self.shown = cache(self._shown)

    def any(self, dataset: str, condition: str) -> Shown:
        """As `shown`, but of the dataset that was typed, where one was."""
        word = self._typed.fixed.get("dataset")
        return self.shown(dataset if word is None else word.removeprefix("dataset="), condition)

    def _shown(self, dataset: str, condition: str) -> Shown:
        """A dataset's clips under a condition; rendered on the spot where there is no other source.

        Args:
            dataset: its name. condition: name of the preprocessing.

        Raises:
            UserError: the dataset is not there and cannot be made.
        """
        chosen = {"dataset": f"dataset={dataset}", "preprocess": f"preprocess={condition}"}
        words = {key: word for key, word in self._typed.fixed.items() if key != "experiment"} | chosen
        settings = wanted("", Typed(words))[0].settings
        paths = configure.build("paths", settings["paths"], Paths)
        place = Runtime(Path(paths.data), Path(paths.cache), self._workers, self._progress)
        found = list_clips(configure.build("dataset", settings["dataset"], DatasetSettings), place).dataset
        return Shown(found.clips, found.origin, found.provenance, configure.image_transform(settings))
