"""Are two cells of a table different? Paired, clip by clip, on the same test clips."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64
from scipy.special import bdtr

from src.errors import UserError
from src.evaluation.bootstrap import (
    DRAWS,
    Groups,
    group_indices,
    group_sums,
    percentile_interval,
    resamplings,
)
from src.evaluation.intervals import Interval


@dataclass(frozen=True, eq=False)
class Cell:
    """What the runs of one cell of a table got right.

    Attributes:
        name: what an error calls it.
        ids: names of its test clips.
        correct: whether a seed's run got a clip right, the clips in the order of `ids`.
        groups: group of each clip; None: every clip by itself.
    """

    name: str
    ids: Sequence[str]
    correct: Bool[np.ndarray, "seeds clips"]
    groups: Groups = None

    def __post_init__(self) -> None:
        if len(self.ids) != self.correct.shape[1]:
            raise ValueError(f"{self.name}: got {len(self.ids)} clip names for {self.correct.shape[1]} columns")
        if len(set(self.ids)) != len(self.ids):
            raise ValueError(f"{self.name}: a clip is named twice; expected each test clip once")
        if self.correct.size == 0:
            raise UserError(
                f"{self.name}: got {len(self.correct)} runs of {len(self.ids)} test clips; expected 1 of each or more"
            )


@dataclass(frozen=True)
class Votes:
    """Exact McNemar test on the seeds' majority votes, which takes clips one by one, whatever their groups.

    Attributes:
        only_first: clips that the first cell's vote got right and the second's wrong; only_second: the reverse.
        tied: clips left out, because a cell's seeds were split evenly on them (never with odd numbers of seeds).
        p: two-sided.
    """

    only_first: int
    only_second: int
    tied: int
    p: float


@dataclass(frozen=True)
class Comparison:
    """Outcome of a paired comparison; accuracies in 0..1.

    Attributes:
        clips: number of test clips.
        difference: accuracy of the second cell minus that of the first, each averaged over its seeds.
        interval: percentile bootstrap interval of the difference, over clips (or groups), for these seeds.
        p_bootstrap: two-sided, from the same resamples as the interval, at least 2 / (draws + 1).
        votes: McNemar's test beside it.
    """

    clips: int
    difference: float
    interval: Interval
    p_bootstrap: float
    votes: Votes


def compare(
    first: Cell, second: Cell, rng: np.random.Generator, draws: int = DRAWS, confidence: float = 0.95
) -> Comparison:
    """Compare two cells clip by clip.

    The unit is the clip: its score is its mean correctness over a cell's seeds, so that seeds do not pass for clips.
    Where the first cell has groups, they are resampled whole. The numbers of seeds and the order of clips may differ.

    Args:
        first: the reference.
        second: what is compared with it.
        rng: source of the resamples.
        draws: number of resamples.
        confidence: coverage of the interval, 0..1.

    Raises:
        UserError: the cells were tested on different clips.
    """
    correct = second.correct[:, align(first, second)]
    group = group_indices(first.groups, len(first.ids))
    resamples = _differences(first.correct, correct, group, rng, draws)
    beyond = int(min(np.count_nonzero(resamples <= 0), np.count_nonzero(resamples >= 0)))
    return Comparison(
        clips=len(first.ids),
        difference=float(correct.mean() - first.correct.mean()),
        interval=percentile_interval(resamples, confidence),
        p_bootstrap=min(1.0, 2 * (1 + beyond) / (draws + 1)),
        votes=vote(first.correct, correct),
    )


def align(first: Cell, second: Cell) -> Int64[np.ndarray, " clips"]:
    """Where each of the first cell's clips stands among the second's.

    Raises:
        UserError: the two sets of clips differ.
    """
    position = {name: index for index, name in enumerate(second.ids)}
    lacking, extra = len(set(first.ids) - position.keys()), len(position.keys() - set(first.ids))
    if lacking or extra:
        raise UserError(
            f"{first.name} and {second.name} were tested on different clips: {lacking} of {len(first.ids)} only in the "
            f"first, {extra} of {len(second.ids)} only in the second; expected the same. Was one run with another "
            "split, edition of the dataset, or with files left out? Run both with the same dataset and split"
        )
    return np.array([position[name] for name in first.ids], dtype=np.int64)


def majority(correct: Bool[np.ndarray, "seeds clips"]) -> tuple[Bool[np.ndarray, " clips"], Bool[np.ndarray, " clips"]]:
    """The seeds' vote on each clip: whether more than half of them got it right, and whether they were split evenly."""
    twice = 2 * np.count_nonzero(correct, axis=0)
    return twice > len(correct), twice == len(correct)


def vote(first: Bool[np.ndarray, "first_seeds clips"], second: Bool[np.ndarray, "second_seeds clips"]) -> Votes:
    """Exact McNemar test on the majority votes of two cells' seeds."""
    first_right, first_tied = majority(first)
    second_right, second_tied = majority(second)
    clear = ~(first_tied | second_tied)
    only_first = int(np.count_nonzero(first_right & ~second_right & clear))
    only_second = int(np.count_nonzero(second_right & ~first_right & clear))
    return Votes(only_first, only_second, int(np.count_nonzero(~clear)), mcnemar(only_first, only_second))


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided exact p of McNemar's test: twice the binomial tail of the rarer kind of disagreement, 1 at most."""
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), only_first + only_second, 0.5)))


def _differences(
    first: Bool[np.ndarray, "first_seeds clips"],
    second: Bool[np.ndarray, "second_seeds clips"],
    group: Int64[np.ndarray, " clips"],
    rng: np.random.Generator,
    draws: int,
) -> Float64[np.ndarray, " draws"]:
    """Difference of accuracy, second minus first, in each resample of the clips.

    Scores are kept as whole numbers (multiples of 1 / (seeds of one * seeds of the other)) up to the last division:
    a difference of 0 is then exactly 0, which the p-value counts on.
    """
    scale = len(first) * len(second)
    scores = len(first) * np.count_nonzero(second, axis=0) - len(second) * np.count_nonzero(first, axis=0)
    total = group_sums(scores[None], group)[0]
    sizes = np.bincount(group).astype(np.float64)
    return np.concatenate(
        [(counts @ total) / (scale * (counts @ sizes)) for counts in resamplings(len(sizes), draws, rng)]
    )
