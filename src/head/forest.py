"""A fitted random forest as plain arrays, and its predictions in numpy."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Float64, Int64

from src.head import Tensors

# rows predicted at a time, to bound the "rows trees" copies
ROWS = 4096


@dataclass(frozen=True, eq=False)
class FittedForest:
    """All trees' nodes in one list. A leaf's children are itself, so that a walk may go on past it.

    Attributes:
        roots: first node of each tree.
        left, right: next node where the feature is at most the threshold, and where it is above.
        feature, threshold: what a node asks.
        values: class shares among the training draws that reached a node.
    """

    kind: str
    roots: Int64[np.ndarray, " trees"]
    left: Int64[np.ndarray, " nodes"]
    right: Int64[np.ndarray, " nodes"]
    feature: Int64[np.ndarray, " nodes"]
    threshold: Float64[np.ndarray, " nodes"]
    values: Float64[np.ndarray, "nodes classes"]
    warnings: tuple[str, ...] = ()

    def predict_proba(self, features: Float32[np.ndarray, "clips features"]) -> Float32[np.ndarray, "clips classes"]:
        """Mean over the trees of the class shares in the leaf that a clip falls into."""
        chunks = [self._rows(features[start : start + ROWS]) for start in range(0, len(features), ROWS)]
        return np.concatenate([np.zeros((0, self.values.shape[1]), np.float32), *chunks])

    def _rows(self, features: Float32[np.ndarray, "clips features"]) -> Float32[np.ndarray, "clips classes"]:
        leaves = self._leaves(features)
        total = np.zeros((len(features), self.values.shape[1]))
        for tree in range(len(self.roots)):  # one after the other: float sums depend on the order
            total += self.values[leaves[:, tree]]
        mean: Float32[np.ndarray, "clips classes"] = (total / len(self.roots)).astype(np.float32)
        return mean

    def _leaves(self, features: Float32[np.ndarray, "clips features"]) -> Int64[np.ndarray, "clips trees"]:
        """Walks all trees with all clips at once, a level per turn."""
        rows = np.arange(len(features))[:, None]
        nodes = np.tile(self.roots, (len(features), 1))
        while True:
            below = features[rows, self.feature[nodes]] <= self.threshold[nodes]
            following = np.where(below, self.left[nodes], self.right[nodes])
            if np.array_equal(following, nodes):
                return nodes
            nodes = following

    def tensors(self) -> dict[str, np.ndarray]:
        """The arrays by name."""
        names = ("roots", "left", "right", "feature", "threshold", "values")
        return {name: np.ascontiguousarray(getattr(self, name)) for name in names}

    @classmethod
    def from_tensors(cls, kind: str, tensors: Tensors) -> "FittedForest":
        """The inverse of `tensors`."""
        return cls(
            kind=kind,
            roots=tensors["roots"],
            left=tensors["left"],
            right=tensors["right"],
            feature=tensors["feature"],
            threshold=tensors["threshold"],
            values=tensors["values"],
        )
