"""A frozen network that takes the waveform, in windows: a clip's features are the mean over its windows."""

from collections.abc import Callable
from functools import cached_property
from threading import Lock
from typing import Literal

import numpy as np
from jaxtyping import Float32

from src.backbone import JSON
from src.backbone.engine import Engine
from src.data.audio import resampled
from src.data.waveform import Waveform
from src.errors import UserError


class WaveformNetwork:
    """A network that was trained on sound, ready to embed; implements the Backbone protocol.

    Attributes:
        name, weights, identity, feature_names, batch_size: as the protocol has them.
    """

    input: Literal["waveform"] = "waveform"

    def __init__(
        self,
        name: str,
        weights: str,
        identity: dict[str, JSON],
        features: int,
        *,
        sample_rate: int,
        windows: Callable[[Float32[np.ndarray, " samples"]], Float32[np.ndarray, "windows ..."]],
        start: Callable[[], Engine],
        batch_size: int,
    ) -> None:
        """Keep what the network is; its engine is started by the first clip.

        Args:
            name: as tables show it.
            weights: where they come from, in a few words.
            identity: what determines a feature.
            features: their number.
            sample_rate: of the network's input in Hz.
            windows: from a mono signal at that rate to the network's inputs.
            start: makes the engine.
            batch_size: clips that `embed` is given at a time.
        """
        self.name, self.weights, self.identity, self.batch_size = name, weights, identity, batch_size
        self.feature_names = [f"{name}_{index:04d}" for index in range(features)]
        self._sample_rate, self._windows, self._start, self._lock = sample_rate, windows, start, Lock()

    def prepare(self, waveform: Waveform, /) -> Float32[np.ndarray, "windows ..."]:
        """The network's inputs for one clip, of the mean of its channels."""
        mono = Waveform(waveform.mono("mean")[None], waveform.sample_rate)
        return self._windows(resampled(mono, self._sample_rate).samples[0])

    def embed(self, inputs: list[np.ndarray]) -> Float32[np.ndarray, "clips features"]:
        """Features of prepared clips.

        Raises:
            UserError: a feature is not finite.
        """
        if not inputs:
            return np.empty((0, len(self.feature_names)), np.float32)
        with self._lock:  # held only while the first caller starts it
            engine = self._engine
        rows = engine.run([window for clip in inputs for window in clip])
        ends = np.cumsum([len(clip) for clip in inputs])[:-1]
        features = np.stack([clip.mean(axis=0, dtype=np.float64) for clip in np.split(rows, ends)]).astype(np.float32)
        if not np.isfinite(features).all():
            raise UserError(f"{self.name} ({self.weights}): features are not finite; try another backbone.weights_seed")
        return features

    @cached_property
    def _engine(self) -> Engine:
        return self._start()
