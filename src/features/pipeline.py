"""How one file becomes features: everything between a path and the backbone's input."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import UInt8

from src.backbone import Backbone
from src.data.audio import DECODING_VERSION, AudioStats, Window, decode
from src.data.waveform import Waveform
from src.features.cache import FEATURE_VERSION
from src.features.preprocess import Preprocess
from src.features.render_stats import ClipStats, Image, RenderStats, render_stats
from src.spectrogram import Spectrogram


@dataclass(frozen=True)
class ImageTransform:
    """How a waveform becomes a picture."""

    window: Window
    mono: str
    preprocess: Preprocess
    spectrogram: Spectrogram

    def picture(self, waveform: Waveform) -> UInt8[np.ndarray, "rows columns"] | UInt8[np.ndarray, "rows columns 3"]:
        """The 8-bit picture, highest band on top, before it is squashed to a network's size."""
        processed = self.preprocess(waveform)
        return self.spectrogram.picture(processed.mono(self.mono), processed.sample_rate)

    def stats(self, waveform: Waveform, image: Image, facts: AudioStats | None) -> RenderStats:
        """What of a waveform its image shows; `facts` of the clip before it was resampled, None: it was not."""
        return render_stats(waveform, self.mono, self.spectrogram, image, facts)


def input_key(image_transform: ImageTransform, reads: Literal["picture", "waveform"]) -> dict[str, Any]:
    """What determines a backbone's input, besides the clip and its window; no picture where it reads the waveform."""
    if reads == "waveform":
        return image_transform.preprocess.key()
    return {
        **image_transform.preprocess.key(),
        "mono": image_transform.mono,
        "spectrogram": image_transform.spectrogram.key(),
    }


@dataclass(frozen=True, eq=False)
class Prepared:
    """A clip ready for the backbone: what `embed` takes of it, what is known of it, and seconds spent by stage."""

    value: np.ndarray
    stats: ClipStats
    seconds: dict[str, float]


@dataclass(frozen=True)
class FeaturePipeline:
    """How one file becomes features: the part of an experiment that the cache is keyed by."""

    image_transform: ImageTransform
    backbone: Backbone

    @property
    def window(self) -> Window:
        """The clip within each file."""
        return self.image_transform.window

    def key(self) -> dict[str, Any]:
        """Everything that determines a clip's features besides its content; what this backbone ignores is left out."""
        return {
            "version": FEATURE_VERSION,
            "decoding": DECODING_VERSION,
            "window": self.window.key(),
            **input_key(self.image_transform, self.backbone.input),
            "backbone": self.backbone.identity,
        }

    def prepare(self, path: Path, window: Window | None = None) -> Prepared:
        """One clip up to the backbone's input.

        Args:
            window: which part of the file; None: the pipeline's own.

        Raises:
            UnreadableAudio: as `decode`.
        """
        start = time.perf_counter()
        waveform, facts = decode(path, window or self.window)
        decoded = time.perf_counter()
        value, rendered = self.render(waveform, facts)
        seconds = {"decode": decoded - start, "picture": time.perf_counter() - decoded}
        return Prepared(value, ClipStats(facts, rendered), seconds)

    def render(self, waveform: Waveform, facts: AudioStats | None = None) -> tuple[np.ndarray, RenderStats]:
        """One decoded clip up to the backbone's input, and its stats; `facts` as for `ImageTransform.stats`."""
        if self.backbone.input == "waveform":
            value = self.backbone.prepare(self.image_transform.preprocess(waveform))
            return value, render_stats(waveform, "mean", None, None, facts)
        image = self.image_transform.picture(waveform)
        return self.backbone.prepare(image), self.image_transform.stats(waveform, image, facts)
