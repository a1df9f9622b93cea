"""What the heads trained by SGD share: batches, initial weights, the fit, and reading it back."""

from dataclasses import dataclass
from importlib import import_module

import numpy as np
from jaxtyping import Float, Float32, Int64

from src.errors import UserError
from src.features.examples import Examples
from src.head import Trainer, check_examples
from src.head.network import FittedNetwork, Scaling


@dataclass(frozen=True)
class Randomness:
    """Independent streams of one seed: a change in how many numbers one takes leaves the others as they were."""

    weights: np.random.Generator
    draws: np.random.Generator
    dropout_seed: int

    @classmethod
    def from_seed(cls, seed: int) -> "Randomness":
        """Streams of a seed (0 or more)."""
        weights, draws, dropout = np.random.SeedSequence(seed).spawn(3)
        state = int(dropout.generate_state(1, np.uint64)[0])
        return cls(np.random.default_rng(weights), np.random.default_rng(draws), state)


def truncated_normal(shape: tuple[int, ...], *, std: float, rng: np.random.Generator) -> Float32[np.ndarray, "..."]:
    """Normal values around 0 of deviation `std`; those beyond two deviations are drawn again (retrain script)."""
    values = rng.standard_normal(shape)
    while (beyond := np.abs(values) > 2).any():
        values[beyond] = rng.standard_normal(int(beyond.sum()))
    return (std * values).astype(np.float32)


class ClassBalancedSampler:
    """Batches drawn with replacement: a class uniformly, then one of its clips uniformly (retrain script).

    Classes without a training clip are never drawn. How the steps are divided over calls of `take` does not matter.
    """

    def __init__(self, labels: Int64[np.ndarray, " clips"], *, batch_size: int, rng: np.random.Generator) -> None:
        _, self._sizes = np.unique(labels, return_counts=True)
        self._starts = np.cumsum(self._sizes) - self._sizes
        self._by_class = np.argsort(labels, kind="stable")
        self._batch_size = batch_size
        self._rng = rng

    def take(self, steps: int) -> Int64[np.ndarray, "steps batch"]:
        """Training clip indices of the next steps."""
        # doubles rather than integers: their stream is the same however it is cut into calls
        uniform: Float[np.ndarray, "steps batch 2"] = self._rng.random((steps, self._batch_size, 2))
        drawn = (uniform[..., 0] * len(self._sizes)).astype(np.int64)
        within = (uniform[..., 1] * self._sizes[drawn]).astype(np.int64)
        clips: Int64[np.ndarray, "steps batch"] = self._by_class[self._starts[drawn] + within]
        return clips


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
        start = self.initial_weights((train.features.shape[1], *self.hidden, classes), random.weights)
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

    def initial_weights(self, sizes: tuple[int, ...], rng: np.random.Generator) -> list[tuple[np.ndarray, np.ndarray]]:
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
