"""Bootstrap intervals over the test clips and the seeds together.

A resample draws as many groups of clips as there are, with replacement, and, independently, as many seeds: an interval
then holds for other clips and other seeds than ours. Resampling both counts what is peculiar to single (clip, seed)
pairs up to three times, so it errs on the wide side (Owen 2007, "The pigeonhole bootstrap"); resampling S seeds shrinks
their own variance by (S - 1)/S, and one seed says nothing about others. A run without a mistake has an interval without
width: read Wilson's beside it.
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float64, Int64, Integer

from src.errors import UserError
from src.evaluation.intervals import Interval

DRAWS = 10_000
_CELLS = 2_000_000  # resampling counts held at a time (16 MB as float64)

Groups = Sequence[str | None] | None


def group_indices(groups: Groups, clips: int) -> Int64[np.ndarray, " clips"]:
    """Number the groups 0.. in order of appearance; a clip whose group is None stands alone.

    Raises:
        ValueError: there is not one group per clip.
    """
    if groups is None:
        return np.arange(clips)
    if len(groups) != clips:
        raise ValueError(f"got {len(groups)} groups for {clips} clips; expected one per clip (None where unknown)")
    keys = [(position, None) if group is None else (-1, group) for position, group in enumerate(groups)]
    number = {key: index for index, key in enumerate(dict.fromkeys(keys))}
    return np.array([number[key] for key in keys], dtype=np.int64)


def group_sums(
    values: Integer[np.ndarray, "rows clips"] | Bool[np.ndarray, "rows clips"], group: Int64[np.ndarray, " clips"]
) -> Float64[np.ndarray, "rows groups"]:
    """Sum each row within groups; whole numbers, so exact whatever the order."""
    groups = int(group.max()) + 1
    return np.stack([np.bincount(group, weights=row, minlength=groups) for row in values])


def resampled_counts(units: int, draws: int, rng: np.random.Generator) -> Float64[np.ndarray, "draws units"]:
    """How often each of `units` occurs in each of `draws` samples of that size with replacement."""
    picks = rng.integers(0, units, (draws, units))
    picks += np.arange(draws)[:, None] * units
    return np.bincount(picks.ravel(), minlength=draws * units).reshape(draws, units).astype(np.float64)


def resamplings(units: int, draws: int, rng: np.random.Generator) -> Iterator[Float64[np.ndarray, "some units"]]:
    """All `draws` rows of counts, in portions that fit in memory."""
    portion = max(1, _CELLS // units)
    for first in range(0, draws, portion):
        yield resampled_counts(units, min(portion, draws - first), rng)


def percentile_interval(values: Float64[np.ndarray, " draws"], confidence: float) -> Interval:
    """The central `confidence` of the bootstrap distribution."""
    low, high = np.quantile(values, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))


def accuracy_interval(
    correct: Bool[np.ndarray, "seeds clips"],
    rng: np.random.Generator,
    groups: Groups = None,
    *,
    draws: int = DRAWS,
    confidence: float = 0.95,
) -> Interval:
    """Percentile interval for the accuracy (0..1) averaged over seeds.

    Args:
        correct: whether a seed's run got a clip right.
        rng: source of the resamples.
        groups: group of each clip (clips of one recording, score, ...), resampled whole; None: every clip by itself.
        draws: number of resamples.
        confidence: coverage, 0..1.

    Raises:
        UserError: there are no runs or no clips.
    """
    _refuse_empty(correct.shape)
    seeds, clips = correct.shape
    group = group_indices(groups, clips)
    right, sizes = group_sums(correct, group), np.bincount(group).astype(np.float64)
    values = []
    for counts in resamplings(len(sizes), draws, rng):
        weights = resampled_counts(seeds, len(counts), rng)  # (some, seeds)
        values.append(((counts @ right.T) * weights).sum(axis=1) / (seeds * (counts @ sizes)))
    return percentile_interval(np.concatenate(values), confidence)


def macro_f1_interval(
    targets: Integer[np.ndarray, " clips"],
    predictions: Integer[np.ndarray, "seeds clips"],
    classes: int,
    rng: np.random.Generator,
    groups: Groups = None,
    *,
    draws: int = DRAWS,
    confidence: float = 0.95,
) -> Interval:
    """Percentile interval for macro F1 (0..1, as in `metrics.macro_f1`) averaged over seeds.

    Arguments and errors are those of `accuracy_interval`; classes are numbered 0..classes-1. A class that a resample
    misses altogether is left out of that resample's mean.
    """
    _refuse_empty(predictions.shape)
    seeds, clips = predictions.shape
    group = group_indices(groups, clips)
    every = np.arange(classes)[:, None]
    true = group_sums(targets == every, group)  # (classes, groups)
    predicted = group_sums((predictions[:, None] == every).reshape(-1, clips), group)  # (seeds * classes, groups)
    hits = group_sums(((predictions[:, None] == every) & (targets == every)).reshape(-1, clips), group)
    values = []
    for counts in resamplings(true.shape[1], draws, rng):
        weights = resampled_counts(seeds, len(counts), rng)  # (some, seeds)
        shape = (len(counts), seeds, classes)
        marginals = (counts @ predicted.T).reshape(shape) + (counts @ true.T)[:, None]
        f1 = np.divide(2 * (counts @ hits.T).reshape(shape), marginals, out=np.zeros(shape), where=marginals > 0)
        per_seed = f1.sum(axis=2) / np.count_nonzero(marginals, axis=2)
        values.append((per_seed * weights).sum(axis=1) / seeds)
    return percentile_interval(np.concatenate(values), confidence)


def _refuse_empty(shape: tuple[int, ...]) -> None:
    if 0 in shape:
        raise UserError(f"bootstrap: got {shape[0]} runs of {shape[1]} test clips; expected at least one of each")
