"""How far clips lie from those of the training: nearest neighbours among features (Sun et al., 2022)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32, Float64, Int64

Features = Float32[np.ndarray, "clips features"]
RANK = 5


@dataclass(frozen=True, eq=False)
class NearestClips:
    """Training clips by their features, each feature standardised and each clip's vector of length 1.

    Attributes:
        mean, deviation: of the training clips. index: of scikit-learn, which finds neighbours.
        count: of training clips.
    """

    mean: Float64[np.ndarray, " features"]
    deviation: Float64[np.ndarray, " features"]
    index: Any
    count: int

    @classmethod
    def of(cls, features: Features) -> "NearestClips":
        """The training clips, one at least."""
        from sklearn.neighbors import NearestNeighbors

        mean, deviation = features.mean(axis=0, dtype=np.float64), features.std(axis=0, dtype=np.float64)
        deviation[deviation == 0] = 1
        index = NearestNeighbors(algorithm="brute").fit(_directions(features, mean, deviation))
        return cls(mean, deviation, index, len(features))

    def neighbours(
        self, features: Features, count: int
    ) -> tuple[Float64[np.ndarray, "clips count"], Int64[np.ndarray, "clips count"]]:
        """Distances, 0 to 2, and positions of the nearest training clips, the nearest first; at most `count`."""
        directions = _directions(features, self.mean, self.deviation)
        distances, positions = self.index.kneighbors(directions, min(count, self.count))
        return distances, positions

    def distance(self, features: Features) -> Float64[np.ndarray, " clips"]:
        """Distance to the fifth nearest training clip, 0 to 2; of fewer clips to the farthest."""
        last: Float64[np.ndarray, " clips"] = self.neighbours(features, RANK)[0][:, -1]
        return last


def _directions(features: Features, mean: np.ndarray, deviation: np.ndarray) -> Float64[np.ndarray, "clips features"]:
    scaled = (features - mean) / deviation
    directions: Float64[np.ndarray, "clips features"] = scaled / np.maximum(
        np.linalg.norm(scaled, axis=1, keepdims=True), 1e-12
    )
    return directions
