"""Settings of a frozen vision network of timm: the picture of a sound in, the network's pooled features out."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from src.backbone.weights import RANDOM, check_name
from src.errors import UserError

if TYPE_CHECKING:
    from src.backbone.frozen import FrozenNetwork

CHOICES = {
    "engine": ("auto", "torch", "openvino"),
    "precision": ("float32", "bfloat16"),
    "device": ("auto", "cpu", "cuda"),
    "scaling": (None, "protocol", "timm"),
}


@dataclass(frozen=True)
class TimmBackbone:
    """Settings of a frozen network.

    Attributes:
        model: timm's name, e.g. `inception_v3.tf_in1k`.
        weights: null: the published ones; the path of a .safetensors file with weights of `model`; or `random`, a
            control.
        weights_seed: of random weights; unused otherwise.
        engine: auto (openvino on a CPU where installed, else torch), openvino, or torch.
        precision: float32; bfloat16: faster on CPUs that have it, but other features: on real spectrograms the
            cosine to float32's is 0.98 to 0.997 for EfficientNet-Lite0 (docs/precision.md).
        device: auto (a GPU if torch sees one, unless the engine is openvino), cpu, or cuda.
        scaling: of pixel values before the network: `protocol` (x - 128)/128, as the retrain script has it, or
            `timm`, the mean and deviation that timm states for `model`, also where the weights come from a file (they
            depend on the part of the name after the point: without it, timm's default weights are meant); null:
            protocol for Inception v3 with weights trained on (x - 127.5)/127.5, timm for all others.
        size: height and width to which the picture is squashed, in pixels; null: the model's own.
        antialias: whether squashing averages over all pixels; false: the four neighbours only, as the retrain script.
    """

    model: str
    weights: str | None
    weights_seed: int
    engine: str
    precision: str
    device: str
    scaling: str | None
    size: int | None
    antialias: bool

    input: ClassVar[Literal["picture"]] = "picture"

    def __post_init__(self) -> None:
        for key, allowed in CHOICES.items():
            value = getattr(self, key)
            if value not in allowed:
                listed = ", ".join("null" if choice is None else choice for choice in allowed)
                raise UserError(f"backbone.{key}: got {value!r}; expected one of {listed}")
        if self.engine == "openvino" and self.device == "cuda":
            raise UserError("backbone.engine: got openvino with device=cuda; OpenVINO runs on the CPU. Use engine=auto")
        if self.size is not None and self.size < 1:
            raise UserError(f"backbone.size: got {self.size}; expected pixels, e.g. 224, or null for the model's own")
        if not 0 <= self.weights_seed < 2**63:
            raise UserError(f"backbone.weights_seed: got {self.weights_seed}; expected a whole number from 0")
        if self.weights is not None and self.weights != RANDOM:
            check_name(Path(self.weights), self.model)

    def load(self, weights_dir: Path | None = None, workers: int | None = None) -> "FrozenNetwork":
        """Find the weights and build the network; it is made ready for its engine when the first clip comes.

        Args:
            weights_dir: a folder where published weights may lie, as `<model>.safetensors`; the hub's cache and the
                hub are tried as well.
            workers: threads that will call `embed` at the same time; None: one per core this process may use. The
                features do not depend on it.

        Raises:
            UserError: no such model, no weights, weights of another model, or an engine that cannot do it.
        """
        from src.backbone.frozen import FrozenNetwork  # here: torch and timm take 3 s, and settings are read often

        return FrozenNetwork(self, weights_dir, workers or len(os.sched_getaffinity(0)))

    def check(self, weights_dir: Path | None = None) -> None:
        """Raise what `load` would raise for the weights and the engine, in less time and without building the network.

        Raises:
            UserError: as `load`.
        """
        from src.backbone.engine import choose
        from src.backbone.network import check

        choose(self.engine, self.precision, self.device)
        check(self.model, self.weights, weights_dir, self.size)
