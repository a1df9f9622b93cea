"""How much of the network learns the new domain: nothing but the head, or some or all of it (paper, section 7)."""

from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, runtime_checkable

from src.errors import UserError
from src.head import Head

ALL = "all"
NETWORK = "network.safetensors"
"""Artifact of a run that holds its fine-tuned network."""
BATCH_NORMS = ("fixed", "updated")


@runtime_checkable
class Transfer(Protocol):
    """What of the network is trained (conf/transfer)."""

    @property
    def name(self) -> str:
        """Short text for tables."""
        ...

    @property
    def reads(self) -> frozenset[str]:
        """Which of `seed` and the trainer's settings change a result, besides what the head reads."""
        ...

    def key(self) -> dict[str, Any]:
        """What determines a result, as literals; empty where the network stays as it is."""
        ...


@dataclass(frozen=True)
class Tuning:
    """How a network is trained together with the head that was fitted to its frozen features.

    Plain AdamW; the learning rates rise over the first `warmup` of the steps and fall to 0 along a half cosine. Batches
    are drawn as the head's are, a class first. Dropout and stochastic depth stay off, float32 throughout; the weights
    after the last step are kept.

    Attributes:
        blocks: how many of the network's last blocks are trained, as timm groups its layers (stages, mostly); `all`.
        steps: optimiser steps. batch_size: draws a step.
        learning_rate: highest, of the network. head_learning_rate: highest, of the head.
        weight_decay: of both, apart from biases and normalisations.
        warmup: share of the steps.
        batch_norm: means and deviations of batch normalisation in the blocks trained: `fixed`: they stay those the
            network came with; `updated`: each batch's own are used and followed. Blocks not trained keep theirs.
        validate_every: steps between two points of the validation curve; changes no result.
    """

    blocks: int | str
    steps: int
    batch_size: int
    learning_rate: float
    head_learning_rate: float
    weight_decay: float
    warmup: float
    batch_norm: str
    validate_every: int

    def __post_init__(self) -> None:
        whole = isinstance(self.blocks, int) and self.blocks >= 1
        _require(whole or self.blocks == ALL, "blocks", self.blocks, "all, or how many of the last blocks (1 or more)")
        for key in ("steps", "batch_size", "validate_every"):
            _require(getattr(self, key) >= 1, key, getattr(self, key), "a whole number of at least 1")
        _require(self.learning_rate > 0, "learning_rate", self.learning_rate, "a number above 0, like 0.0003")
        wanted = "0 (the head stays as fitted) or more, like 0.001"
        _require(self.head_learning_rate >= 0, "head_learning_rate", self.head_learning_rate, wanted)
        _require(self.weight_decay >= 0, "weight_decay", self.weight_decay, "0 or more")
        _require(0 <= self.warmup < 1, "warmup", self.warmup, "a share of the steps, from 0 to below 1")
        _require(self.batch_norm in BATCH_NORMS, "batch_norm", self.batch_norm, f"one of {', '.join(BATCH_NORMS)}")


@dataclass(frozen=True)
class Frozen(Tuning):
    """The network stays as it is; how it would be trained means nothing, and lets one sweep have both."""

    kind: ClassVar[str] = "frozen"
    name: ClassVar[str] = "frozen"
    reads: ClassVar[frozenset[str]] = frozenset()

    def key(self) -> dict[str, Any]:
        """Nothing."""
        return {}


@dataclass(frozen=True)
class FineTune(Tuning):
    """The network, or its last blocks, is trained."""

    kind: ClassVar[str] = "finetune"
    reads: ClassVar[frozenset[str]] = frozenset({"seed", "threads", "accelerator"})
    RUNTIME: ClassVar[frozenset[str]] = frozenset({"validate_every"})

    @property
    def name(self) -> str:
        """With what is trained, like `finetune all` or `finetune last 2`."""
        return "finetune all" if self.blocks == ALL else f"finetune last {self.blocks}"

    def key(self) -> dict[str, Any]:
        """Every setting but how often the curve has a point."""
        return {
            "transfer": "finetune",
            "blocks": self.blocks,
            "steps": self.steps,
            "batch_size": self.batch_size,
            "learning_rate": self.learning_rate,
            "head_learning_rate": self.head_learning_rate,
            "weight_decay": self.weight_decay,
            "warmup": self.warmup,
            "batch_norm": self.batch_norm,
        }


def check_head(head: Head) -> None:
    """Refuse to go on training a head whose fit is no stack of layers.

    Raises:
        UserError: it is none.
    """
    if not head.tunable:
        raise UserError(
            f"transfer=finetune: head={head.name} has no layers that could be trained with the network; use "
            "head=linear, mlp or logistic, or transfer=frozen"
        )


def _require(good: bool, key: str, got: object, wanted: str) -> None:
    if not good:
        raise UserError(f"transfer.{key}: got {got!r}; expected {wanted}")
