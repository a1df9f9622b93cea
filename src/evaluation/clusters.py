"""Groups of test clips, and the variance of an average over clips and runs.

Clips of one group (takes of a speaker, excerpts of a song) resemble each other, so that the group is the unit that was
sampled. Runs of one configuration differ by their seed. Clips and runs are crossed: every run is tested on every clip.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from jaxtyping import Float64, Int64
from scipy.special import stdtrit

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
