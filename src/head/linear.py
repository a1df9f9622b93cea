"""The paper's head: one fully connected layer, trained as the retrain script did."""

from dataclasses import dataclass
from typing import Any, ClassVar

from src.features.examples import Examples
from src.head import STEPPED, Trainer
from src.head.network import FittedNetwork
from src.head.sgd import SgdSchedule


@dataclass(frozen=True)
class Linear:
    """Softmax regression by plain SGD on class-balanced batches (conf/head/linear.yaml).

    Attributes:
        learning_rate: of SGD without momentum or decay.
        weight_std: deviation of the initial weights, a normal truncated at two deviations; biases start at 0.
        standardize: scale features by the training clips' mean and deviation; None: the backbone decides, and
            `resolve_standardize` puts its choice here before `fit`.
    """

    learning_rate: float
    weight_std: float
    standardize: bool | None

    name: ClassVar[str] = "linear"
    reads: ClassVar[frozenset[str]] = STEPPED
    tunable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._recipe()

    def key(self) -> dict[str, Any]:
        """See `Head.key`."""
        return {
            "head": "linear",
            "learning_rate": self.learning_rate,
            "weight_std": self.weight_std,
            "standardize": self.standardize,
        }

    def _recipe(self) -> SgdSchedule:
        return SgdSchedule(
            kind="linear",
            hidden=(),
            activation="none",
            dropout=0.0,
            learning_rate=self.learning_rate,
            weight_std=self.weight_std,
            standardize=self.standardize,
        )

    def fit(
        self, train: Examples, validation: Examples, *, classes: int, seed: int, trainer: Trainer, logger: object | None
    ) -> FittedNetwork:
        """See `Head.fit`."""
        return self._recipe().fit(train, validation, classes=classes, seed=seed, trainer=trainer, logger=logger)
