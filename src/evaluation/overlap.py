"""How far the loudness of classes overlaps: where it does not, a classifier may read loudness instead of music.

The overlap coefficient of two densities f and g is the integral of min(f, g): 1 for equal distributions, 0 for
disjoint ones, and 2 (1 - it) is their L1 distance; the best guess between two equally likely classes from loudness
alone is right with probability 1 - overlap / 2.
"""

from collections.abc import Sequence
from math import pow
from statistics import NormalDist

import numpy as np
from jaxtyping import Float64

_GRID = 1024


def overlap(one: Float64[np.ndarray, " clips"], other: Float64[np.ndarray, " other_clips"]) -> float:
    """Overlap coefficient of two samples by Gaussian kernel densities of Silverman's bandwidth (Ridout, Linkie 2009).

    Args:
        one: a level per clip in any one unit (RMS as in the paper's table 4, or dB), finite.
        other: those of another class.

    Returns:
        0..1; nan where a sample has fewer than 2 clips. Smoothing makes it a little too large.
    """
    if len(one) < 2 or len(other) < 2:
        return float("nan")
    pooled = np.concatenate([one, other])
    extent = float(np.ptp(pooled))
    if extent == 0:
        return 1.0
    # a class of constant level gets a kernel that the grid can still resolve
    widths = [max(_silverman(sample), 4 * extent / _GRID) for sample in (one, other)]
    margin = 4 * max(widths)
    grid = np.linspace(pooled.min() - margin, pooled.max() + margin, _GRID)
    densities = [_density(sample, width, grid) for sample, width in zip((one, other), widths, strict=True)]
    common = np.trapezoid(np.minimum(*densities), grid)
    return float(np.clip(common, 0, 1))


def overlap_matrix(samples: Sequence[Float64[np.ndarray, " _"]]) -> Float64[np.ndarray, "classes classes"]:
    """Overlap of every two classes; 1 on the diagonal."""
    matrix = np.eye(len(samples))
    for row in range(len(samples)):
        for column in range(row):
            matrix[row, column] = matrix[column, row] = overlap(samples[row], samples[column])
    return matrix


def overlap_of_normals(
    means: Float64[np.ndarray, " classes"], deviations: Float64[np.ndarray, " classes"]
) -> Float64[np.ndarray, "classes classes"]:
    """Overlap of every two classes from mean and deviation alone (the paper's table 4), taking levels as normal.

    Raises:
        ValueError: a deviation is not above 0.
    """
    if not np.all(deviations > 0):
        raise ValueError(f"overlap: got deviations {deviations.tolist()}; expected each above 0")
    normals = [NormalDist(mean, deviation) for mean, deviation in zip(means, deviations, strict=True)]
    return np.array([[1.0 if one is other else one.overlap(other) for other in normals] for one in normals])


def mean_overlap(matrix: Float64[np.ndarray, "classes classes"]) -> float:
    """Mean over the pairs of different classes; nan for fewer than two classes."""
    pairs = matrix[np.triu_indices(len(matrix), 1)]
    return float(pairs.mean()) if pairs.size else float("nan")


def _silverman(sample: Float64[np.ndarray, " clips"]) -> float:
    """Silverman's rule of thumb (1986, eq. 3.31): 0.9 min(deviation, interquartile range / 1.34) n^(-1/5)."""
    low, high = np.quantile(sample, [0.25, 0.75])
    deviation = float(sample.std(ddof=1))
    robust = float(high - low) / 1.34
    return 0.9 * (min(deviation, robust) if robust > 0 else deviation) * pow(len(sample), -0.2)


def _density(
    sample: Float64[np.ndarray, " clips"], width: float, grid: Float64[np.ndarray, " grid"]
) -> Float64[np.ndarray, " grid"]:
    total = np.zeros_like(grid)
    for part in np.array_split(sample, -(-len(sample) // 1000)):  # 8 MB of kernels at a time
        total += np.exp(-(((grid - part[:, None]) / width) ** 2) / 2).sum(axis=0)
    density: Float64[np.ndarray, " grid"] = total / (len(sample) * width * np.sqrt(2 * np.pi))
    return density
