"""A fitted stack of fully connected layers, in numpy: predicting needs neither torch nor Lightning."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32

from src.head import Tensors

# rows predicted at a time, to bound the float64 copies
ROWS = 4096

ACTIVATIONS: dict[str, Callable[[Float[np.ndarray, "..."]], Float[np.ndarray, "..."]]] = {
    "none": lambda values: values,
    "relu": lambda values: np.maximum(values, 0),
    "tanh": np.tanh,
}


@dataclass(frozen=True, eq=False)
class Scaling:
    """Feature by feature: minus a mean, over a deviation."""

    mean: Float32[np.ndarray, " features"]
    deviation: Float32[np.ndarray, " features"]

    @classmethod
    def of(cls, features: Float32[np.ndarray, "clips features"], *, standardize: bool) -> "Scaling":
        """Mean and deviation of the training clips, or the scaling that changes nothing.

        A feature that is the same in all clips is only centred: sums of equal float32 values are exact in float64, so
        its deviation is 0 and nothing else.
        """
        count = features.shape[1]
        if not standardize:
            return cls(np.zeros(count, np.float32), np.ones(count, np.float32))
        mean = features.mean(axis=0, dtype=np.float64).astype(np.float32)
        deviation = features.std(axis=0, dtype=np.float64).astype(np.float32)
        return cls(mean, np.where(deviation == 0, np.float32(1), deviation))

    def apply(self, features: Float32[np.ndarray, "clips features"]) -> Float32[np.ndarray, "clips features"]:
        """Scaled features, a new array."""
        scaled: Float32[np.ndarray, "clips features"] = features - self.mean
        scaled /= self.deviation
        return scaled


def softmax(logits: Float[np.ndarray, "clips classes"]) -> Float[np.ndarray, "clips classes"]:
    """Probabilities; a logit of minus infinity gives 0."""
    exponentials: Float[np.ndarray, "clips classes"] = np.exp(logits - logits.max(axis=1, keepdims=True))
    exponentials /= exponentials.sum(axis=1, keepdims=True)
    return exponentials


@dataclass(frozen=True, eq=False)
class FittedNetwork:
    """Scaling, then layers with an activation between them, then softmax.

    Attributes:
        kind: `linear`, `mlp` or `logistic`.
        weights, biases: per layer, "outputs inputs" and "outputs"; a layer's outputs are the next one's inputs.
        activation: between layers, a key of `ACTIVATIONS`.
    """

    kind: str
    scaling: Scaling
    weights: tuple[Float32[np.ndarray, "_ _"], ...]
    biases: tuple[Float32[np.ndarray, " _"], ...]
    activation: str = "none"
    warnings: tuple[str, ...] = ()

    def predict_proba(self, features: Float32[np.ndarray, "clips features"]) -> Float32[np.ndarray, "clips classes"]:
        """Softmax over the last layer; sums in float64, so that batch and threads do not show in float32."""
        chunks = [self._rows(features[start : start + ROWS]) for start in range(0, len(features), ROWS)]
        return np.concatenate([np.zeros((0, len(self.biases[-1])), np.float32), *chunks])

    def _rows(self, features: Float32[np.ndarray, "clips features"]) -> Float32[np.ndarray, "clips classes"]:
        values: Float[np.ndarray, "clips values"] = self.scaling.apply(features).astype(np.float64)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = ACTIVATIONS[self.activation](values) if layer else values
            values = values @ weight.T.astype(np.float64) + bias
        return softmax(values).astype(np.float32)

    def tensors(self) -> dict[str, np.ndarray]:
        """Arrays by name: mean, deviation, activation, and weight.N and bias.N for each layer from 0."""
        stored = {"mean": self.scaling.mean, "deviation": self.scaling.deviation}
        stored["activation"] = np.array([list(ACTIVATIONS).index(self.activation)], np.uint8)
        for layer, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            stored |= {f"weight.{layer}": weight, f"bias.{layer}": bias}
        return {name: np.ascontiguousarray(array) for name, array in stored.items()}

    @classmethod
    def from_tensors(cls, kind: str, tensors: Tensors) -> "FittedNetwork":
        """The inverse of `tensors`."""
        layers = range(sum(name.startswith("weight.") for name in tensors) or 1)
        return cls(
            kind=kind,
            scaling=Scaling(tensors["mean"], tensors["deviation"]),
            weights=tuple(tensors[f"weight.{layer}"] for layer in layers),
            biases=tuple(tensors[f"bias.{layer}"] for layer in layers),
            activation=list(ACTIVATIONS)[int(tensors["activation"][0])],
        )
