"""Families of p-values, sources of variance, correlation, overlap of loudness, and verdicts on the paper's values."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, permutations
from math import ceil, factorial, pow
from statistics import NormalDist
from typing import Literal

import numpy as np
from jaxtyping import Float64, Integer

from src.errors import UserError
from src.evaluation.intervals import Interval

_EXACT_UP_TO = 9  # 362880 permutations of nine datasets, the number the paper has
_DRAWS = 20_000


def holm(p: Float64[np.ndarray, " tests"]) -> Float64[np.ndarray, " tests"]:
    """Holm's step-down correction (1979) of a family of p-values, in the order given.

    The i-th smallest of m is multiplied by m - i + 1, and none falls below a smaller one's; reject where the result is
    at most alpha, and the chance of even one false rejection is at most alpha.

    Raises:
        ValueError: a value lies outside 0..1, or is nan.
    """
    if not np.all((p >= 0) & (p <= 1)):
        raise ValueError(f"holm: got p-values {p.tolist()}; expected each in 0..1")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1)
    return adjusted


@dataclass(frozen=True)
class VarianceSplit:
    """Where the variance of one run's accuracy comes from.

    Attributes:
        split: variance between splits; seed: variance between seeds on one split; squared accuracy.
        split_share, seed_share: parts of their sum, 0..1; nan where all accuracies are equal.
    """

    split: float
    seed: float
    split_share: float
    seed_share: float


def variance_split(accuracies: Float64[np.ndarray, "split_seeds seeds"]) -> VarianceSplit:
    """One-way random-effects analysis of variance, components by the method of moments.

    With n seeds per split, the mean square within splits estimates the seed's variance, and the mean square between
    splits n times the split's variance plus the seed's. A negative estimate counts as 0. Seed 1 on one split
    has nothing in common with seed 1 on another, so seeds are nested in splits.

    Raises:
        UserError: fewer than 2 splits or 2 seeds.
    """
    splits, seeds = accuracies.shape
    if splits < 2 or seeds < 2:
        raise UserError(
            f"variance split: got {splits} split seeds and {seeds} seeds; expected at least 2 of each. "
            "Run the experiment with more of them"
        )
    means = accuracies.mean(axis=1)
    within = float(((accuracies - means[:, None]) ** 2).sum() / (splits * (seeds - 1)))
    between = float(seeds * ((means - means.mean()) ** 2).sum() / (splits - 1))
    split = max(0.0, (between - within) / seeds)
    total = split + within
    share = split / total if total > 0 else np.nan
    return VarianceSplit(split, within, share, 1 - share)


@dataclass(frozen=True)
class Correlation:
    """A correlation coefficient and its two-sided permutation p.

    Attributes:
        r: in -1..1; nan where undefined.
        p: share of the pairings at least as strongly correlated; nan where r is.
        exact: whether all pairings were counted, or a random sample of them.
    """

    r: float
    p: float
    exact: bool


def correlation(
    x: Float64[np.ndarray, " pairs"],
    y: Float64[np.ndarray, " pairs"],
    method: Literal["pearson", "spearman"],
    rng: np.random.Generator,
) -> Correlation:
    """Correlate two quantities over a few datasets; no distribution is assumed.

    Up to 9 pairs the p-value counts all n! pairings and `rng` is not used; beyond, it counts 20000 random ones and
    ours. Undefined (nan) for fewer than 3 pairs, or where either side is constant. Spearman's is Pearson's of the
    ranks, ties sharing their mean rank.
    """
    exact = len(x) <= _EXACT_UP_TO
    if method == "spearman":
        x, y = ranks(x), ranks(y)
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return Correlation(np.nan, np.nan, exact)
    x, y = x - x.mean(), y - y.mean()
    norm = np.sqrt((x @ x) * (y @ y))
    r = float(np.clip(x @ y / norm, -1, 1))
    pairings = _all_pairings(len(x)) if exact else rng.permuted(np.tile(np.arange(len(x)), (_DRAWS, 1)), axis=1)
    # equally strong pairings must count in spite of the rounding of their sums
    as_strong = int(np.count_nonzero(np.abs(y[pairings] @ x / norm) >= abs(r) - 1e-12))
    p = as_strong / len(pairings) if exact else (as_strong + 1) / (_DRAWS + 1)
    return Correlation(r, p, exact)


def ranks(values: Float64[np.ndarray, " pairs"]) -> Float64[np.ndarray, " pairs"]:
    """Ranks from 1; equal values share the mean of theirs."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    mean_rank = np.cumsum(counts) - (counts - 1) / 2
    shared: Float64[np.ndarray, " pairs"] = mean_rank[which]
    return shared


def _all_pairings(pairs: int) -> Integer[np.ndarray, "pairings pairs"]:
    flat = chain.from_iterable(permutations(range(pairs)))
    return np.fromiter(flat, np.int8, count=pairs * factorial(pairs)).reshape(-1, pairs)


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


HALF_WIDTH = 0.03  # an interval of more than 3 points to each side agrees with too much to be a verdict

Outcome = Literal["reproduced", "not reproduced", "too few clips", "rendered"]


@dataclass(frozen=True)
class Verdict:
    """What may be said of the paper's value.

    Attributes:
        outcome: `reproduced`: the paper's value lies inside our interval; `not reproduced`: outside;
            `too few clips`: our interval is too wide to tell; `rendered`: synthesised audio says nothing about it.
        clips_needed: with too few, about how many test clips would do; None where our clips do not say.
    """

    outcome: Outcome
    clips_needed: int | None = None

    def __str__(self) -> str:
        return self.outcome if self.clips_needed is None else f"{self.outcome}, about {self.clips_needed} would do"


def judge(paper: float, clips: int, interval: Interval | None, origin: Literal["recorded", "rendered"]) -> Verdict:
    """Judge the paper's accuracy by ours. The paper's own uncertainty is unknown and left out.

    Args:
        paper: the paper's accuracy, 0..1.
        clips: number of our test clips.
        interval: of our accuracy; None where all clips are of one group.
        origin: of our audio.

    Raises:
        ValueError: the accuracy lies outside 0..1.
    """
    if not 0 <= paper <= 1:
        raise ValueError(f"paper's accuracy: got {paper}; expected 0 to 1. Is it in percent?")
    if origin == "rendered":
        return Verdict("rendered")
    if interval is None:
        return Verdict("too few clips")
    if interval.half_width > HALF_WIDTH:
        # the width falls with the square root of the number of clips, if the new ones come in groups like ours
        return Verdict("too few clips", ceil(clips * (interval.half_width / HALF_WIDTH) ** 2))
    return Verdict("reproduced" if paper in interval else "not reproduced")
