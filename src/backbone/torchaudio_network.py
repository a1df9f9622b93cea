"""wav2vec 2.0, HuBERT and WavLM as torchaudio has them: the outputs of one transformer layer, pooled over time."""

import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any
from urllib.error import URLError

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import layer_norm
from torchaudio import models, pipelines

from src.errors import UserError

LEAST_SAMPLES = 400
"""Of one frame: what the convolutions in front of the transformer take. A shorter clip is filled up with silence."""

BUNDLES: dict[str, Callable[[], nn.Module]] = {
    "WAV2VEC2_BASE": models.wav2vec2_base,
    "WAV2VEC2_LARGE": models.wav2vec2_large,
    "WAV2VEC2_LARGE_LV60K": models.wav2vec2_large_lv60k,
    "WAV2VEC2_XLSR53": models.wav2vec2_large_lv60k,
    "WAV2VEC2_XLSR_300M": models.wav2vec2_xlsr_300m,
    "HUBERT_BASE": models.hubert_base,
    "HUBERT_LARGE": models.hubert_large,
    "HUBERT_XLARGE": models.hubert_xlarge,
    "WAVLM_BASE": models.wavlm_base,
    "WAVLM_BASE_PLUS": models.wavlm_base,
    "WAVLM_LARGE": models.wavlm_large,
}
"""What builds the architecture of each pretrained bundle."""
SCALED = {name for name in BUNDLES if "LARGE" in name or "XL" in name} - {"WAV2VEC2_LARGE"}
"""Bundles whose input is brought to mean 0 and deviation 1."""

POOLINGS: dict[str, Callable[[Float[Tensor, "batch frames channels"]], Float[Tensor, "batch features"]]] = {
    "mean": lambda frames: frames.mean(1),
    "max": lambda frames: frames.amax(1),
    "mean_max": lambda frames: torch.cat([frames.mean(1), frames.amax(1)], 1),
}


class PooledLayer(nn.Module):
    """A waveform to the pooled outputs of one layer, counted from 1."""

    def __init__(self, network: nn.Module, layer: int, pooling: str, *, scaled: bool) -> None:
        """`network` as torchaudio's factories give it; `scaled`: bring the input to mean 0 and deviation 1."""
        super().__init__()
        self.network: Any = network
        self._layer, self._pool, self._scaled = layer, POOLINGS[pooling], scaled

    def layers(self) -> int:
        """How many layers there are."""
        # a large network lies within what scales its input
        network = self.network if hasattr(self.network, "encoder") else self.network.model
        return len(network.encoder.transformer.layers)

    def forward(self, waveform: Float[Tensor, "batch samples"]) -> Float[Tensor, "batch features"]:
        """Features of each waveform."""
        if self._scaled:
            waveform = layer_norm(waveform, waveform.shape[-1:])
        layers, _ = self.network.extract_features(waveform, num_layers=self._layer)
        return self._pool(layers[-1])


def build(bundle: str, layer: int, pooling: str, seed: int | None, weights_dir: Path) -> PooledLayer:
    """The network, frozen.

    Args:
        bundle: a name of `BUNDLES`.
        layer: whose outputs are pooled, from 1.
        pooling: over time; a name of `POOLINGS`.
        seed: of random weights; None: the published ones.
        weights_dir: folder where the published file lies, or is downloaded to.

    Raises:
        UserError: there is no such layer, or the weights cannot be had.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed or 0)
        network = BUNDLES[bundle]() if seed is not None else _pretrained(bundle, weights_dir)
    pooled = PooledLayer(network, layer, pooling, scaled=seed is not None and bundle in SCALED)
    count = pooled.layers()
    if layer > count:
        raise UserError(f"backbone.layer: got {layer}, but {bundle} has {count} layers; give 1 to {count}")
    return pooled.eval().requires_grad_(False)


def _pretrained(bundle: str, weights_dir: Path) -> nn.Module:
    options = {"model_dir": str(weights_dir), "weights_only": True, "progress": False}
    try:
        with redirect_stdout(sys.stderr):  # torch tells there of a download
            network: nn.Module = getattr(pipelines, bundle).get_model(dl_kwargs=options)
    except (URLError, OSError) as error:
        raise UserError(
            f"backbone.weights: the weights of {bundle} are not in {weights_dir} and cannot be downloaded ({error}). "
            f'On a machine with a network, run: python -c "import torchaudio; torchaudio.pipelines.{bundle}.get_model('
            f"dl_kwargs={{'model_dir': '{weights_dir}'}})\", and copy the file there. Without them: "
            "backbone.weights=random as a control"
        ) from error
    return network
