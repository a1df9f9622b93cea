"""Labelled feature vectors: what a head is fitted to."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float32, Int64


@dataclass(frozen=True, eq=False)
class Examples:
    """Labelled feature vectors.

    Attributes:
        features: one row per clip, as the backbone gave them (unscaled).
        labels: index of each clip's class, from 0.
    """

    features: Float32[np.ndarray, "clips features"]
    labels: Int64[np.ndarray, " clips"]
