"""Which training clips make each batch, and how weights start: everything random about a trained head."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Int64


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
