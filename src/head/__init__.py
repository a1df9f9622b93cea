"""Features in, class probabilities out: what a head is, and how a stored one comes back.

Only numpy is needed here; torch, Lightning and scikit-learn are imported by the head that needs them, when it fits.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, cast, runtime_checkable

import numpy as np
from jaxtyping import Float32

from src.errors import UserError
from src.features.examples import Examples

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Tensors = Mapping[str, np.ndarray]

# kind -> the class whose `from_tensors` reads it; of any other kind, `Fitted` in the module of that name here
KINDS = {
    "linear": "src.head.network.FittedNetwork",
    "mlp": "src.head.network.FittedNetwork",
    "logistic": "src.head.network.FittedNetwork",
    "random_forest": "src.head.estimators.FittedForest",
    "one_vs_one": "src.head.one_vs_one.FittedOneVsOne",
}


STEPPED = frozenset({"seed", "max_steps", "batch_size", "threads", "accelerator"})
"""What a head that is trained by steps reads; see `Head.reads`."""


@dataclass(frozen=True)
class Trainer:
    """How long and where a head that is trained by steps trains (conf/trainer).

    Attributes:
        max_steps: optimiser steps; the weights after the last one are kept.
        batch_size: draws per step.
        validate_every: steps between two points of the validation curve; the last step is always one.
        accelerator: `cpu`, `gpu`, or `auto`: a CUDA device where there is one.
        threads: CPU threads of one fit; the bits of a fit depend on it.
        progress_bar: show one on the terminal.
    """

    max_steps: int
    batch_size: int
    validate_every: int
    accelerator: str
    threads: int
    progress_bar: bool

    RUNTIME: ClassVar[frozenset[str]] = frozenset({"validate_every", "progress_bar"})
    """Settings that change what is logged or shown, and no result."""

    def __post_init__(self) -> None:
        for name in ("max_steps", "batch_size", "validate_every", "threads"):
            if getattr(self, name) < 1:
                raise UserError(f"trainer.{name}={getattr(self, name)}: expected a whole number of at least 1.")
        if self.accelerator not in ("auto", "cpu", "gpu"):
            raise UserError(f"trainer.accelerator={self.accelerator}: expected auto, cpu or gpu.")

    def key(self, reads: Collection[str]) -> dict[str, Any]:
        """The settings that determine a fit, apart from the device.

        Args:
            reads: settings that the head or the transfer reads; see `Head.reads`.
        """
        values = {"max_steps": self.max_steps, "batch_size": self.batch_size, "threads": self.threads}
        return {name: value for name, value in values.items() if name in reads}

    def device(self) -> Literal["cpu", "gpu"]:
        """The device that `accelerator` means on this machine, as Lightning names it.

        Raises:
            UserError: `gpu`, and there is no CUDA device.
        """
        if self.accelerator == "cpu":
            return "cpu"
        cuda = bool(import_module("torch").cuda.is_available())
        if self.accelerator == "gpu" and not cuda:
            raise UserError(
                "trainer.accelerator=gpu, but torch finds no CUDA device. Set trainer.accelerator=auto or cpu."
            )
        return "gpu" if cuda else "cpu"


@runtime_checkable
class FittedHead(Protocol):
    """A classifier that has seen its training clips."""

    @property
    def kind(self) -> str:
        """Its name in `KINDS`."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the reader of its results should know about the fit; usually nothing."""

    def predict_proba(self, features: Float32[np.ndarray, "clips features"]) -> Float32[np.ndarray, "clips classes"]:
        """Probability of each class; a clip's row sums to 1."""

    def tensors(self) -> dict[str, np.ndarray]:
        """Everything that determines `probabilities`, scaling included, as arrays."""


@runtime_checkable
class Head(Protocol):
    """A classifier to be fitted (conf/head)."""

    reads: ClassVar[frozenset[str]]
    """Which of `seed` and the trainer's settings change the bits of a fit; empty: none do."""
    tunable: ClassVar[bool]
    """Whether its fit is a stack of layers that transfer=finetune can go on training."""

    @property
    def name(self) -> str:
        """Short text for tables."""

    def key(self) -> dict[str, Any]:
        """The head's own settings that determine a fit, as literals: a renamed class or module has the same key."""

    def fit(
        self,
        train: Examples,
        validation: Examples,
        *,
        classes: int,
        seed: int,
        trainer: Trainer,
        logger: object | None,
    ) -> FittedHead:
        """Learns from the training clips alone; the validation clips only draw the curve.

        Args:
            train: at least one clip.
            validation: may be empty; then no validation metric is logged.
            classes: outputs, including classes without a training clip.
            seed: makes the fit; 0 is a seed like any other.
            trainer: steps, batches and device.
            logger: anything with `log_metrics(metrics, step)`, a Lightning logger for instance; its run is neither
                opened nor ended here. Metrics: validation/accuracy, validation/loss, train/loss.

        Raises:
            UserError: the clips or the settings do not allow a fit.
        """


@runtime_checkable
class MetricLogger(Protocol):
    """The part of a Lightning logger that heads use."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None:
        """Stores each value under its name at an optimiser step."""


def resolve_standardize(head: Head, default: bool) -> Head:
    """The head with `standardize: null` replaced by its backbone's choice; other heads as they are."""
    if getattr(head, "standardize", False) is not None:
        return head
    return cast(Head, replace(cast("DataclassInstance", head), standardize=default))


def load_head(kind: str, tensors: Tensors) -> FittedHead:
    """The inverse of `FittedHead.tensors`; the same features give the same probabilities bit for bit.

    Raises:
        UserError: the kind is unknown or the arrays are not those of such a head.
    """
    own = f"src.head.{kind}"
    if kind not in KINDS and not (kind.isidentifier() and find_spec(own)):
        raise UserError(f"unknown head {kind!r}; expected one of: {', '.join(KINDS)}, or a module {own}.")
    module, _, name = KINDS.get(kind, f"{own}.Fitted").rpartition(".")
    fitted: Any = getattr(import_module(module), name)
    try:
        return cast(FittedHead, fitted.from_tensors(kind, tensors))
    except KeyError as error:
        raise UserError(
            f"not a stored {kind} head: it has no array {error}, only {', '.join(sorted(tensors))}."
        ) from error


def check_examples(train: Examples, validation: Examples, classes: int) -> None:
    """Raises UserError unless the examples can be learned from."""
    if len(train.labels) == 0:
        raise UserError(
            "no training clips: every clip fell into validation or test. Add clips, or choose another split."
        )
    if train.features.shape[1] != validation.features.shape[1]:
        raise ValueError(f"{train.features.shape[1]} training features, but {validation.features.shape[1]} validation")
    for name, examples in (("training", train), ("validation", validation)):
        if not np.isfinite(examples.features).all():
            bad = int((~np.isfinite(examples.features).all(axis=1)).sum())
            raise UserError(
                f"{bad} of {len(examples.labels)} {name} clips have features that are not finite: the backbone "
                "overflowed. Random weights do that in deep networks: use trained ones or another backbone."
            )
        if len(examples.labels) and not 0 <= examples.labels.min() <= examples.labels.max() < classes:
            raise ValueError(f"{name} labels run to {examples.labels.max()}, but there are {classes} classes")
