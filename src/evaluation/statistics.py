"""Families of p-values, where variance comes from, and correlation over a handful of datasets."""

from dataclasses import dataclass
from itertools import chain, permutations
from math import factorial
from typing import Literal

import numpy as np
from jaxtyping import Float64, Integer

from src.errors import UserError

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
