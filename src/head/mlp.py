"""Several layers in place of the network's last one (the paper's future work, section 7)."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from src.errors import UserError
from src.features.examples import Examples
from src.head import STEPPED, Trainer
from src.head.network import FittedNetwork
from src.head.sgd import SgdSchedule


@dataclass(frozen=True)
class Mlp:
    """Hidden layers before the softmax, trained as the linear head is (conf/head/mlp.yaml).

    Attributes:
        hidden: units of each hidden layer, first to last.
        activation: after each hidden layer, `relu` or `tanh`.
        dropout: share of hidden values set to 0 in a training step.
        learning_rate: of SGD without momentum or decay.
        weight_std: deviation of the last layer's initial weights; hidden layers start at a preserving scale.
        standardize: scale features by the training clips' mean and deviation; None: the backbone decides, and
            `resolve_standardize` puts its choice here before `fit`.
    """

    hidden: Sequence[int]
    activation: str
    dropout: float
    learning_rate: float
    weight_std: float
    standardize: bool | None

    kind: ClassVar[str] = "mlp"
    reads: ClassVar[frozenset[str]] = STEPPED
    tunable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.hidden or min(self.hidden) < 1:
            raise UserError(f"head.hidden={list(self.hidden)}: expected units per hidden layer, like [512, 256].")
        if self.activation not in ("relu", "tanh"):
            raise UserError(f"head.activation={self.activation}: expected relu or tanh.")
        if not 0 <= self.dropout < 1:
            raise UserError(f"head.dropout={self.dropout}: expected a share from 0 to below 1.")
        self._recipe()

    @property
    def name(self) -> str:
        """With its hidden layers, like `mlp 512-256`."""
        return "mlp " + "-".join(str(units) for units in self.hidden)

    def key(self) -> dict[str, Any]:
        """See `Head.key`."""
        return {
            "head": "mlp",
            "hidden": list(self.hidden),
            "activation": self.activation,
            "dropout": self.dropout,
            "learning_rate": self.learning_rate,
            "weight_std": self.weight_std,
            "standardize": self.standardize,
        }

    def _recipe(self) -> SgdSchedule:
        return SgdSchedule(
            kind="mlp",
            hidden=tuple(self.hidden),
            activation=self.activation,
            dropout=self.dropout,
            learning_rate=self.learning_rate,
            weight_std=self.weight_std,
            standardize=self.standardize,
        )

    def fit(
        self, train: Examples, validation: Examples, *, classes: int, seed: int, trainer: Trainer, logger: object | None
    ) -> FittedNetwork:
        """See `Head.fit`."""
        return self._recipe().fit(train, validation, classes=classes, seed=seed, trainer=trainer, logger=logger)
