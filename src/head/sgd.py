"""What `linear` and `mlp` share: start the layers, train them, read them back."""

from dataclasses import dataclass
from importlib import import_module

import numpy as np

from src.errors import UserError
from src.features.examples import Examples
from src.head import Trainer, check_examples
from src.head.draws import ClassBalancedSampler, Randomness, truncated_normal
from src.head.network import FittedNetwork, Scaling

# deviation of a normal of deviation 1 once truncated at two deviations
TRUNCATED_STD = 0.8796256610342398


@dataclass(frozen=True)
class SgdSchedule:
    """A stack of layers and how it is trained.

    Attributes:
        kind: of the fitted head.
        hidden: units of each layer before the last.
        activation: after each of those, `relu` or `tanh` (`none` where there are none).
        dropout: share of hidden values set to 0 in a step.
        learning_rate: of SGD without momentum or decay.
        weight_std: deviation of the last layer's initial weights.
        standardize: scale features by the training clips' mean and deviation.
    """

    kind: str
    hidden: tuple[int, ...]
    activation: str
    dropout: float
    learning_rate: float
    weight_std: float
    standardize: bool | None

    def __post_init__(self) -> None:
        if not self.learning_rate > 0:
            raise UserError(f"head.learning_rate={self.learning_rate}: expected a number above 0, like 0.01.")
        if not self.weight_std >= 0:
            raise UserError(f"head.weight_std={self.weight_std}: expected 0 or more, like 0.001.")

    def fit(
        self, train: Examples, validation: Examples, *, classes: int, seed: int, trainer: Trainer, logger: object | None
    ) -> FittedNetwork:
        """See `Head.fit`."""
        check_examples(train, validation, classes)
        if self.standardize is None:
            raise ValueError("standardize is None: call resolve_standardize with the backbone's choice first")
        scaling = Scaling.of(train.features, standardize=self.standardize)
        random = Randomness.from_seed(seed)
        start = self._initial((train.features.shape[1], *self.hidden, classes), random.weights)
        # imported when needed: Lightning takes seconds
        training = import_module("src.head.training")
        layers = training.Layers(
            start, activation=self.activation, dropout=self.dropout, dropout_seed=random.dropout_seed
        )
        training.train_layers(
            layers,
            # copies, as torch wants arrays that it may write to
            Examples(scaling.apply(train.features), train.labels.copy()),
            Examples(scaling.apply(validation.features), validation.labels.copy()),
            ClassBalancedSampler(train.labels, batch_size=trainer.batch_size, rng=random.draws),
            learning_rate=self.learning_rate,
            trainer=trainer,
            logger=logger,
        )
        weights, biases = zip(*layers.arrays(), strict=True)
        return FittedNetwork(self.kind, scaling, weights, biases, self.activation)

    def _initial(self, sizes: tuple[int, ...], rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
        """Weight and bias of each layer: the last as the retrain script's, those before it at a preserving scale.

        At 0.001 a hidden layer would pass on next to nothing, and plain SGD would not move it. Deviation of the
        inputs kept: sqrt(2 / inputs) before relu (He et al. 2015), sqrt(1 / inputs) before tanh.
        """
        gain = 2 if self.activation == "relu" else 1
        stds = [float(np.sqrt(gain / inputs)) / TRUNCATED_STD for inputs in sizes[:-2]] + [self.weight_std]
        shapes = zip(sizes[1:], sizes[:-1], strict=True)
        return [
            (truncated_normal(shape, std=std, rng=rng), np.zeros(shape[0], np.float32))
            for shape, std in zip(shapes, stds, strict=True)
        ]
