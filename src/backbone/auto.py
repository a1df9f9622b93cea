"""Which network `backbone=auto` means: the paper's where its weights can be had, else one whose weights are installed.

Decided once per sweep, so that all its runs use the same one.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Literal

from src.backbone import weights as hub
from src.backbone.vision import TimmBackbone
from src.backbone.weights import INCEPTION, LITE0, RANDOM, local

INSTEAD = (
    "backbone=auto: the weights of the paper's network ({model}) are neither in {place} nor in the hub's cache, and "
    "the Hugging Face hub {hub}; EfficientNet-Lite0 is used instead, so results are not the paper's. To have the "
    "paper's, put model.safetensors of timm/{model} there as {model}.safetensors"
)


@dataclass(frozen=True)
class Decision:
    """What `auto` came to.

    Attributes:
        config: name of the configuration file: `inception_v3` or `efficientnet_lite0`.
        weights: file to give it as backbone.weights, or None: the published ones will be found.
        warning: why it is not the paper's network; empty where it is.
    """

    config: str
    weights: Path | None
    warning: str


def decide(weights: str | None, weights_dir: Path, *, allow_network: bool) -> Decision:
    """Choose between Inception v3 and EfficientNet-Lite0; takes 3 seconds at most.

    Args:
        weights: backbone.weights: a path means Inception v3 with that file, whether it is good or not (loading it
            will say); null and `random` choose by what is there: a random control has the architecture that its
            trained counterpart has on the same machine.
        weights_dir: folder where `inception_v3.tf_in1k.safetensors` may lie.
        allow_network: whether the hub may be asked; HF_HUB_OFFLINE forbids it too.
    """
    if weights is not None and weights != RANDOM:
        return Decision("inception_v3", Path(weights), "")
    file = local(INCEPTION, weights_dir)
    if file is not None:
        return Decision("inception_v3", file if file.parent == weights_dir else None, "")
    if allow_network and hub.reachable(INCEPTION.repository, INCEPTION.filename):
        return Decision("inception_v3", None, "")
    switched_off = hub.offline() or not allow_network
    answer = "is switched off" if switched_off else "does not answer"
    return Decision("efficientnet_lite0", None, INSTEAD.format(model=INCEPTION.model, place=weights_dir, hub=answer))


@dataclass(frozen=True)
class Auto:
    """The settings that both networks share; see TimmBackbone for what they mean."""

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
        TimmBackbone(model=INCEPTION.model, **asdict(self))  # complains about values that neither can take

    def resolve(self, weights_dir: Path, allow_network: bool) -> TimmBackbone:
        """The settings of the network that `auto` means on this machine; see `decide`."""
        return self.settle(decide(self.weights, weights_dir, allow_network=allow_network))

    def settle(self, decision: Decision) -> TimmBackbone:
        """The same, for a decision made before."""
        model = INCEPTION.model if decision.config == "inception_v3" else LITE0
        settings = asdict(self)
        if self.weights is None and decision.weights is not None:
            settings["weights"] = str(decision.weights)
        return TimmBackbone(model=model, **settings)
