"""The control from above: musicnn, a frozen network that was trained on music and sees no image."""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from src.backbone.vision import CHOICES
from src.backbone.weights import RANDOM
from src.errors import UserError

if TYPE_CHECKING:
    from src.backbone.waveform_network import WaveformNetwork

_CHOICES = {
    "model": ("MSD_musicnn", "MTT_musicnn"),
    "layer": ("penultimate", "pooled"),
    "weights": (None, RANDOM),
    **{key: CHOICES[key] for key in ("engine", "precision", "device")},
}


@dataclass(frozen=True)
class MusicnnBackbone:
    """Settings of musicnn; a clip's features are the mean over its patches of 3 s.

    Attributes:
        model: `MSD_musicnn`, trained on the Million Song Dataset, or `MTT_musicnn`, on MagnaTagATune.
        layer: `penultimate`: the 200 values that the tags are computed from; `pooled`: 1506 maxima and means over time.
        weights: None: the published ones; or `random`, a control.
        weights_seed: of random weights; unused otherwise.
        engine, precision, device: as in `TimmBackbone`.
    """

    model: str
    layer: str
    weights: str | None
    weights_seed: int
    engine: str
    precision: str
    device: str

    name: ClassVar[str] = "musicnn"
    input: ClassVar[Literal["waveform"]] = "waveform"

    def __post_init__(self) -> None:
        for key, allowed in _CHOICES.items():
            if getattr(self, key) not in allowed:
                listed = ", ".join("null" if choice is None else choice for choice in allowed)
                raise UserError(f"backbone.{key}: got {getattr(self, key)!r}; expected one of {listed}")
        if not 0 <= self.weights_seed < 2**63:
            raise UserError(f"backbone.weights_seed: got {self.weights_seed}; expected a whole number from 0")

    def load(self, weights_dir: Path | None = None, workers: int | None = None) -> "WaveformNetwork":
        """Build the network; takes what `TimmBackbone.load` takes.

        Raises:
            UserError: no weights, or an engine that cannot do it.
        """
        from src.backbone import musicnn_network as network  # torch, which settings are checked without
        from src.backbone.engine import batch_size, choose
        from src.backbone.state import digest
        from src.backbone.waveform_network import WaveformNetwork

        workers = workers or len(os.sched_getaffinity(0))
        if self.weights == RANDOM:
            module, origin = network.random_network(self.layer, self.weights_seed), f"random seed {self.weights_seed}"
        else:
            module, origin = network.load(self.model, self.layer), f"published {self.model}"
        weights = digest(module)
        kind = choose(self.engine, self.precision, self.device)
        shape = (1, network.FRAMES, network.N_MELS)
        return WaveformNetwork(
            self.name,
            origin if self.weights == RANDOM else f"{origin} {weights[:8]}",
            {
                "model": "musicnn",
                "layer": self.layer,
                "weights": weights[:16],
                "input": 1,  # of what a patch is
                **kind.identity(self.precision),
            },
            network.POOLED if self.layer == "pooled" else network.PENULTIMATE,
            sample_rate=network.SAMPLE_RATE,
            windows=lambda samples: network.patches(samples)[:, None],
            start=partial(kind, module, shape, self.precision, workers),
            batch_size=batch_size(kind, workers),
        )
