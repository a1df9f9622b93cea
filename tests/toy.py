"""A backbone that takes no time, and the pipeline around it."""

import threading
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from src.data.audio import Window
from src.features.pipeline import FeaturePipeline, ImageTransform
from src.features.preprocess import Preprocess
from src.spectrogram.waveform import WaveformPicture


@dataclass
class Toy:
    """Mean and deviation of the picture's rows as features; remembers what it was asked."""

    batch_size: int = 1
    name: str = "toy"
    input: Literal["picture", "waveform"] = "picture"
    weights: str = "none"
    feature_names: list[str] = field(default_factory=lambda: ["mean", "deviation"])
    embedded: list[int] = field(default_factory=list)
    threads: set[str] = field(default_factory=set)

    @property
    def identity(self) -> dict[str, Any]:
        return {"model": "toy"}

    def prepare(self, source: Any, /) -> np.ndarray:
        values = source if isinstance(source, np.ndarray) else source.samples
        return np.array([values.mean(), values.std()], np.float32)

    def embed(self, inputs: list[np.ndarray]) -> np.ndarray:
        self.embedded.append(len(inputs))
        self.threads.add(threading.current_thread().name)
        return np.stack(inputs)


def pipeline(
    backbone: Any = None, *, window: Window | None = None, levels: list[float] | None = None
) -> FeaturePipeline:
    image_transform = ImageTransform(
        window=window or Window(0.0, None, None),
        mono="mean",
        preprocess=Preprocess("x", levels or []),
        spectrogram=WaveformPicture(height=16, pixels_per_second=100, reference="full_scale"),
    )
    return FeaturePipeline(image_transform, backbone or Toy())
