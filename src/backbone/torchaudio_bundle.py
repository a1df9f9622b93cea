"""Networks trained on speech, from torchaudio: wav2vec 2.0, HuBERT and WavLM, which take the waveform."""

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np

from src.backbone.weights import RANDOM
from src.errors import UserError

if TYPE_CHECKING:
    from src.backbone.waveform_network import WaveformNetwork

SAMPLE_RATE = 16_000
BUNDLES = (
    "WAV2VEC2_BASE",
    "WAV2VEC2_LARGE",
    "WAV2VEC2_LARGE_LV60K",
    "WAV2VEC2_XLSR53",
    "WAV2VEC2_XLSR_300M",
    "HUBERT_BASE",
    "HUBERT_LARGE",
    "HUBERT_XLARGE",
    "WAVLM_BASE",
    "WAVLM_BASE_PLUS",
    "WAVLM_LARGE",
)
POOLINGS = ("mean", "max", "mean_max")


@dataclass(frozen=True)
class TorchaudioBundle:
    """Settings of a pretrained bundle; it runs in torch on the CPU, a clip at a time and whole.

    Attributes:
        bundle: torchaudio's name.
        layer: transformer layer whose outputs are the features, from 1.
        pooling: of its frames over time: `mean`, `max`, or both.
        weights: None: the published ones, in the folder of weights or downloaded; or `random`, a control.
        weights_seed: of random weights; unused otherwise.
    """

    bundle: str
    layer: int
    pooling: str
    weights: str | None
    weights_seed: int

    input: ClassVar[Literal["waveform"]] = "waveform"

    def __post_init__(self) -> None:
        for key, allowed in (("bundle", BUNDLES), ("pooling", POOLINGS), ("weights", (None, RANDOM))):
            if getattr(self, key) not in allowed:
                listed = ", ".join("null" if choice is None else choice for choice in allowed)
                raise UserError(f"backbone.{key}: got {getattr(self, key)!r}; expected one of {listed}")
        if self.layer < 1:
            raise UserError(f"backbone.layer: got {self.layer}; expected the number of a layer, from 1")
        if not 0 <= self.weights_seed < 2**63:
            raise UserError(f"backbone.weights_seed: got {self.weights_seed}; expected a whole number from 0")

    @property
    def name(self) -> str:
        """As tables show it."""
        return self.bundle.lower()

    def load(self, weights_dir: Path | None = None, workers: int | None = None) -> "WaveformNetwork":
        """Build the network; takes what `TimmBackbone.load` takes.

        Raises:
            UserError: no weights, or no such layer.
        """
        import torch  # settings are checked without

        from src.backbone import torchaudio_network as network
        from src.backbone.engine import batch_size
        from src.backbone.state import digest
        from src.backbone.torch_engine import TorchCpu
        from src.backbone.waveform_network import WaveformNetwork

        workers = workers or len(os.sched_getaffinity(0))
        seed = self.weights_seed if self.weights == RANDOM else None
        module = network.build(self.bundle, self.layer, self.pooling, seed, weights_dir or Path("weights"))
        weights = digest(module)
        shortest = np.zeros((1, network.LEAST_SAMPLES), np.float32)
        with torch.inference_mode():
            features = module(torch.from_numpy(shortest)).shape[1]

        def whole(samples: np.ndarray) -> np.ndarray:
            return np.pad(samples, (0, max(0, network.LEAST_SAMPLES - len(samples))))[None]

        return WaveformNetwork(
            self.name,
            f"random seed {seed}" if seed is not None else f"published {self.bundle} {weights[:8]}",
            {
                "model": self.bundle,
                "layer": self.layer,
                "pooling": self.pooling,
                "weights": weights[:16],
                **TorchCpu.identity("float32"),
            },
            features,
            sample_rate=SAMPLE_RATE,
            windows=whole,
            start=partial(TorchCpu, module, (), "float32", workers),
            batch_size=batch_size(TorchCpu, workers),
        )
