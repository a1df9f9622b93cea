"""Clips whose class is made by a tone in one band amid noise and other tones, and models that learned it."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from src.backbone.pixels import Pixels
from src.data.audio import Window
from src.data.waveform import Waveform
from src.explain.explanation import Model, Settings
from src.features.examples import Examples
from src.features.pipeline import FeaturePipeline, ImageTransform
from src.features.preprocess import Preprocess
from src.head import Trainer
from src.head.estimators import Logistic
from src.spectrogram.asperes import Asperes

RATE, SECONDS, HERTZ = 16000, 1.0, 1000.0
ASPERES = Asperes(20.0, 20000.0, 12, 100, "full_scale", 0.1)
OTHERS = (150.0, 400.0, 3000.0)


def settings(**changes: Any) -> Settings:
    values: dict[str, Any] = {
        "bands": 20, "times": 5, "fill": "background", "base": "occlusion", "share": 0.5, "area": 0.25,
        "n_resamples": 20, "seed": 0, "window": 0.093, "layer": None,
    }  # fmt: skip
    return Settings(**{**values, **changes})


def image_transform(spectrogram: Any = ASPERES, levels: list[float] | None = None) -> ImageTransform:
    return ImageTransform(Window(0.0, None, None), "mean", Preprocess("x", levels or []), spectrogram)


def clip(seed: int, *, toned: bool, rate: int = RATE, seconds: float = SECONDS) -> Waveform:
    """Noise, a tone that tells nothing at one of three places, and, in a toned clip, one of 1 kHz."""
    rng = np.random.default_rng(seed)
    time = np.arange(round(rate * seconds)) / rate
    samples = 0.01 * rng.standard_normal(len(time))
    samples += 0.05 * np.sin(2 * np.pi * rng.choice(OTHERS) * time + rng.uniform(0, 6))
    if toned:
        samples += 0.05 * np.sin(2 * np.pi * HERTZ * time + rng.uniform(0, 6))
    return Waveform(samples.astype(np.float32)[None], rate)


@dataclass(frozen=True)
class Learned:
    """A model and the features that it learned from."""

    model: Model
    examples: Examples


def learned(
    backbone: Any = None, drawn: ImageTransform | None = None, *, clips: int = 20, shuffled: bool = False
) -> Learned:
    """A logistic head on half toned clips; `shuffled`: their labels are drawn at random."""
    pipeline = FeaturePipeline(drawn or image_transform(), backbone or Pixels(32, 42))
    labels = np.arange(2 * clips) % 2
    inputs = [
        pipeline.backbone.prepare(pipeline.image_transform.picture(clip(seed, toned=bool(label))))
        for seed, label in enumerate(labels)
    ]
    features = pipeline.backbone.embed(inputs)
    if shuffled:
        labels = np.random.default_rng(0).permutation(labels)
    examples = Examples(features, labels.astype(np.int64))
    trainer = Trainer(20, 10, 10, "cpu", 1, progress_bar=False)
    head = Logistic(1.0, 1000, standardize=True).fit(
        examples, Examples(features[:0], labels[:0].astype(np.int64)), classes=2, seed=0, trainer=trainer, logger=None
    )
    return Learned(Model(pipeline, head, ("plain", "toned"), 1), examples)
