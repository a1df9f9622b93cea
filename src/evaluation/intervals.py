"""Intervals of confidence for accuracy and macro F1, over groups of clips and over runs; see docs/statistics.md.

Clips of one group (takes of a speaker, excerpts of a song) resemble each other, so that the group is the unit that was
sampled. Runs of one configuration differ by their seed. Clips and runs are crossed: every run is tested on every clip.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import sqrt
from statistics import NormalDist

import numpy as np
from jaxtyping import Bool, Float64, Int64, Integer
from scipy.special import betaincinv, chdtri, stdtrit

from src.errors import UserError
from src.evaluation import metrics

Groups = Sequence[str | None] | None


@dataclass(frozen=True, eq=False)
class Clusters:
    """Test clips by group; a clip without a known group is a group of its own.

    Attributes:
        group: number of each clip's group, from 0 in order of appearance.
    """

    group: Int64[np.ndarray, " clips"] = field(repr=False)

    @classmethod
    def of(cls, groups: Groups, clips: int) -> "Clusters":
        """Number the groups.

        Args:
            groups: name of each clip's group, None where unknown; None: no clip has a group.
            clips: number of clips.

        Raises:
            ValueError: there is not one group per clip.
        """
        if groups is None:
            return cls(np.arange(clips))
        if len(groups) != clips:
            raise ValueError(f"got {len(groups)} groups for {clips} clips; expected one per clip (None where unknown)")
        keys = [(position, None) if group is None else (-1, group) for position, group in enumerate(groups)]
        number = {key: index for index, key in enumerate(dict.fromkeys(keys))}
        return cls(np.array([number[key] for key in keys], dtype=np.int64))

    @cached_property
    def sizes(self) -> Int64[np.ndarray, " groups"]:
        """Clips of each group."""
        return np.bincount(self.group).astype(np.int64)

    @property
    def clips(self) -> int:
        """Number of clips."""
        return len(self.group)

    @property
    def count(self) -> int:
        """Number of groups."""
        return len(self.sizes)

    @property
    def grouped(self) -> bool:
        """Whether a group has more than one clip."""
        return self.count < self.clips

    @property
    def effective(self) -> float:
        """Number of equal groups that would tell as much as these, (sum m)^2 / sum m^2 (Kish 1965)."""
        return float(self.clips**2 / (self.sizes.astype(np.float64) ** 2).sum())

    @property
    def unit(self) -> str:
        """`groups`, or `clips` where they are independent."""
        return "groups" if self.grouped else "clips"

    def __str__(self) -> str:
        return f"{self.clips} in {self.count} group{'s' * (self.count != 1)}" if self.grouped else str(self.clips)

    def sums(self, values: Float64[np.ndarray, "rows clips"]) -> Float64[np.ndarray, "rows groups"]:
        """Sum each row within groups."""
        return np.stack([np.bincount(self.group, weights=row, minlength=self.count) for row in values])


@dataclass(frozen=True)
class Variance:
    """Variance of an average over clips and runs, by its sources.

    Attributes:
        clips: from the sampled groups of clips.
        runs: from the sampled runs; 0 for a single run, whose part cannot be known.
        residual: what `runs` would be if runs differed by chance on single groups alone, without a run being better.
        clips_df, runs_df: degrees of freedom.
    """

    clips: float
    runs: float
    residual: float
    clips_df: float
    runs_df: float

    @property
    def total(self) -> float:
        """Estimate of the whole variance."""
        return self.clips + max(0.0, self.runs - self.residual)

    def reach(self, level: float) -> tuple[float, float]:
        """Squared half-widths, of clips and of runs, of an interval that misses the truth with probability `level`.

        Each source has the t quantile of its own degrees of freedom, and the squares are to be added: conservative for
        any ratio of the two (Banerjee 1960), where Satterthwaite's single quantile covers too little with two or three
        runs. The residual, which both sources contain, is taken off once, with its own quantile.
        """
        clips = _t(level, self.clips_df) ** 2 * self.clips
        if self.runs == 0:
            return clips, 0.0
        runs = _t(level, self.runs_df) ** 2 * self.runs
        return clips, max(0.0, runs - _t(level, self.clips_df * self.runs_df) ** 2 * self.residual)

    def margin(self, level: float) -> float:
        """Half-width of that interval."""
        return float(np.sqrt(sum(self.reach(level))))


def variance(scores: Float64[np.ndarray, "runs clips"], clusters: Clusters) -> Variance:
    """Variance of the sum of all scores over clips, averaged over runs.

    The part of the clips is cluster-robust: no assumption on the correlation within groups (Cameron and Miller 2015).
    Groups of unequal size have the degrees of freedom of `Clusters.effective`.

    Args:
        scores: what each clip adds to the average in each run, less the average; they sum to 0.
        clusters: at least two groups.
    """
    runs = len(scores)
    sums = clusters.sums(scores)
    correction = clusters.count / (clusters.count - 1)
    between_runs = sums.sum(axis=1)
    shares = clusters.sizes / clusters.clips
    residuals = sums - sums.mean(axis=0) - np.outer(between_runs, shares)
    pairs = max(1, runs * (runs - 1))
    return Variance(
        clips=float(correction * (sums.mean(axis=0) ** 2).sum()),
        runs=float((between_runs**2).sum() / pairs) if runs > 1 else 0.0,
        residual=float(correction * (residuals**2).sum() / pairs) if runs > 1 else 0.0,
        clips_df=clusters.effective - 1,
        runs_df=float(runs - 1),
    )


def _t(level: float, df: float) -> float:
    """Two-sided quantile of Student's t."""
    return float(-stdtrit(df, level / 2))


@dataclass(frozen=True)
class Interval:
    """A closed interval, in the unit of what it bounds (accuracies: 0..1, not percent)."""

    low: float
    high: float

    @property
    def half_width(self) -> float:
        """Half the distance between the ends."""
        return (self.high - self.low) / 2

    def __contains__(self, value: float) -> bool:
        return bool(self.low <= value <= self.high)


def accuracy_interval(
    correct: Bool[np.ndarray, "runs clips"], groups: Groups = None, confidence: float = 0.95
) -> Interval | None:
    """Interval for the accuracy (0..1), averaged over runs, on other clips of the kind.

    With two runs or more it holds for other seeds as well, with one for that run alone.

    Args:
        correct: whether a run got a clip right.
        groups: group of each clip (clips of one recording, song, speaker); None: every clip by itself.
        confidence: coverage, 0..1.

    Returns:
        None where all clips are of one group, which says nothing about others.

    Raises:
        UserError: there are no runs or no clips.
    """
    _refuse_empty(correct.shape)
    clusters = Clusters.of(groups, correct.shape[1])
    if clusters.count < 2:
        return None
    accuracy = float(correct.mean())
    spread = variance((correct - accuracy) / clusters.clips, clusters)
    effect, df = _design_effect(accuracy, spread, clusters, correct.size)
    median = float(chdtri(df, 0.5)) if df > 0 else 0.0
    most = correct.size / clusters.effective
    effect = min(effect * df / median, most) if median > 0 else most  # median-unbiased: chi-squared over df
    return _score_interval(accuracy, spread, correct.size, effect, 1 - confidence)


def macro_f1_interval(
    targets: Integer[np.ndarray, " clips"],
    predictions: Integer[np.ndarray, "runs clips"],
    classes: int,
    groups: Groups = None,
    confidence: float = 0.95,
) -> Interval | None:
    """Interval for macro F1 (0..1, as in `metrics.macro_f1`), averaged over runs.

    The variance is that of the linearised statistic. Near 0 and 1 the rarest class limits what the clips can tell.
    Arguments, errors and what is returned are those of `accuracy_interval`; classes are numbered 0..classes-1.
    """
    _refuse_empty(predictions.shape)
    clusters = Clusters.of(groups, len(targets))
    if clusters.count < 2:
        return None
    confusions = [metrics.confusion_matrix(targets, row, classes) for row in predictions]
    values = np.array([metrics.macro_f1(confusion) for confusion in confusions])
    scores = np.stack(
        [_macro_f1_scores(targets, row, confusion) for row, confusion in zip(predictions, confusions, strict=True)]
    )
    scores += (values - values.mean())[:, None] / clusters.clips
    clips = np.bincount(targets, minlength=classes)
    rarest = np.count_nonzero(clips) * clips[clips > 0].min() / clusters.clips
    spread = variance(scores, clusters)
    value, observations = float(values.mean()), predictions.size
    effect, _ = _design_effect(value, spread, clusters, observations)
    # half way to that of identical observations at least: it is no binomial average, and its estimate varies more
    effect = max(effect, (1 + observations / clusters.effective) / 2)
    return _score_interval(value, spread, observations, effect, 1 - confidence, float(rarest))


def _macro_f1_scores(
    targets: Integer[np.ndarray, " clips"],
    predictions: Integer[np.ndarray, " clips"],
    confusion: Integer[np.ndarray, "classes classes"],
) -> Float64[np.ndarray, " clips"]:
    """Derivative of macro F1 by the weight of each clip; they sum to 0."""
    marginals = (confusion.sum(axis=0) + confusion.sum(axis=1)).astype(np.float64)
    seen = marginals > 0
    marginals[~seen] = 1
    f1 = 2 * confusion.diagonal() / marginals
    hits = 2 * (targets == predictions) / marginals[targets]
    losses = f1[targets] / marginals[targets] + f1[predictions] / marginals[predictions]
    scores: Float64[np.ndarray, " clips"] = (hits - losses) / np.count_nonzero(seen)
    return scores


def _design_effect(value: float, spread: Variance, clusters: Clusters, observations: int) -> tuple[float, float]:
    """Estimate of the design effect of an average of 0s and 1s (Kish 1965), and its degrees of freedom.

    It is at least 1, and at most that of identical observations within groups and runs. A group without any failure, or
    without any success, tells little of it, so that the groups' degrees of freedom count 4 v (1 - v) times.
    """
    binomial, most = value * (1 - value), observations / clusters.effective
    effect = min(max(spread.clips * observations / binomial, 1.0), most) if binomial > 0 else most
    return effect, 4 * binomial * spread.clips_df


def _score_interval(
    value: float, spread: Variance, observations: int, effect: float, level: float, rarest: float = 1.0
) -> Interval:
    """Wilson's score interval for an average of 0s and 1s that are correlated within groups and runs.

    Wilson (1927) evaluates the variance at the value in question, not at the estimate. A value p below the estimate v
    means that a share 1 - p / v of the units that were sampled succeeded and would have failed. This thins the observed
    variance V of the clips by p / v, and adds the variance of the units that failed, (v - p) p / N with N independent
    units. With R, the squared reach of the runs:

        (v - p)^2 = t^2 V p / v + z^2 (v - p) p / N + R

    For independent clips and one run this is Wilson's interval, but for t^2 n / (n - 1) in place of z^2 in the first
    term. N is the number of observations over the design effect. Neither end is nearer than the one-sided 95 % bound of
    Clopper and Pearson (1934), since Wilson's covers too little where one or two clips are wrong (Brown, Cai and
    DasGupta 2001).

    Args:
        observations: clips times runs. effect: design effect. level: probability to miss the truth.
        rarest: share of N that is left to a statistic that rests on a rare class.
    """
    units = rarest * observations / effect
    shrunk = max(units, rarest * value * (1 - value) / spread.total) if spread.total > 0 else units
    reach, z = spread.reach(level), NormalDist().inv_cdf(1 - level / 2)
    low, high = (
        min(_lower_end(share, reach, units, z), _clopper_pearson(share, shrunk, level)) for share in (value, 1 - value)
    )
    return Interval(low, 1 - high)


def _lower_end(share: float, reach: tuple[float, float], units: float, z: float) -> float:
    """The smaller root p of (share - p)^2 = clips p / share + z^2 (share - p) p / units + runs."""
    if share <= 0:
        return 0.0
    clips, runs = reach
    guard = z * z / units
    a, b = 1 + guard, 2 * share + clips / share + guard * share
    return max(0.0, (b - sqrt(max(0.0, b * b - 4 * a * (share * share - runs)))) / (2 * a))


def _clopper_pearson(share: float, units: float, level: float) -> float:
    """Lower bound of a share that is missed with probability `level` on its side."""
    successes = min(share * units, units)
    return float(betaincinv(successes, units - successes + 1, level)) if successes > 0 else 0.0


def _refuse_empty(shape: tuple[int, ...]) -> None:
    if 0 in shape:
        raise UserError(
            f"confidence interval: got {shape[0]} runs of {shape[1]} test clips; expected 1 of each or more"
        )
