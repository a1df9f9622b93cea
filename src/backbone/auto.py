"""Which network `backbone=auto` means: the paper's where its weights can be had, else one whose weights are installed.

Decided once per sweep, so that all its runs use the same one.
"""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, Literal

from src.backbone import weights as hub
from src.backbone.vision import TimmBackbone
from src.backbone.weights import DATE, INCEPTION, INCEPTION_2015, LITE0, RANDOM, local

INSTEAD = (
    "backbone=auto: the weights of the paper's network ({file.name}) are not in {place}, nor those of {model}, its "
    "successor, there or in the hub's cache, and the network {answer}; EfficientNet-Lite0 is used instead, so results "
    "are not the paper's. To have the paper's, put {file.addresses[0]} there"
)


@dataclass(frozen=True)
class Decision:
    """What `auto` came to.

    Attributes:
        config: name of the configuration file: `inception_2015`, `inception_v3` or `efficientnet_lite0`.
        weights: file to give it as backbone.weights, or None: the published ones will be found.
        warning: why it is no Inception; empty where it is.
    """

    config: str
    weights: Path | None
    warning: str


def decide(weights: str | None, weights_dir: Path, *, allow_network: bool) -> Decision:
    """Choose the paper's network of 2015, else Inception v3 of 2016, else EfficientNet-Lite0; takes some seconds.

    Args:
        weights: backbone.weights: a path means Inception v3 with that file, whether it is good or not (loading it
            will say); null and `random` choose by what is there: a random control has the architecture that its
            trained counterpart has on the same machine.
        weights_dir: folder where `inception_v3.tf_in1k.safetensors` may lie.
        allow_network: whether the hub may be asked; HF_HUB_OFFLINE forbids it too.
    """
    if weights is not None and weights != RANDOM:
        return Decision(INCEPTION_2015.model if DATE in Path(weights).name else "inception_v3", Path(weights), "")
    if (weights_dir / INCEPTION_2015.name).is_file():
        return Decision(INCEPTION_2015.model, None, "")
    file = local(INCEPTION, weights_dir)
    if file is not None:
        return Decision("inception_v3", file if file.parent == weights_dir else None, "")
    if allow_network and INCEPTION_2015.reachable():
        return Decision(INCEPTION_2015.model, None, "")
    if allow_network and hub.reachable(INCEPTION.repository, INCEPTION.filename):
        return Decision("inception_v3", None, "")
    switched_off = hub.offline() or not allow_network
    answer = "is switched off" if switched_off else "does not answer"
    warning = INSTEAD.format(file=INCEPTION_2015, place=weights_dir, model=INCEPTION.model, answer=answer)
    return Decision("efficientnet_lite0", None, warning)


@dataclass(frozen=True)
class Auto:
    """The settings that all these networks share; see TimmBackbone for what they mean."""

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
        model = {"inception_v3": INCEPTION.model, INCEPTION_2015.model: INCEPTION_2015.model}.get(
            decision.config, LITE0
        )
        settings = asdict(self)
        if self.weights is None and decision.weights is not None:
            settings["weights"] = str(decision.weights)
        return TimmBackbone(model=model, **settings)
