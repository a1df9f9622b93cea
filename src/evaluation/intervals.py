"""Intervals of confidence for a proportion."""

from dataclasses import dataclass
from math import ceil, sqrt
from statistics import NormalDist

import numpy as np
from jaxtyping import Bool

from src.errors import UserError


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


def wider(one: Interval, other: Interval) -> Interval:
    """The wider of two intervals for the same quantity; the first of two equally wide."""
    return one if one.half_width >= other.half_width else other


def wilson(correct: int | float, clips: int, confidence: float = 0.95) -> Interval:
    """Wilson's score interval for an accuracy (Wilson 1927; method 3 of Newcombe 1998).

    Args:
        correct: how many clips were right; averaged over seeds it need not be whole.
        clips: number of test clips, NOT clips times seeds: seeds repeat the same clips and add no independent ones.
        confidence: coverage, 0..1.

    Raises:
        UserError: there are no clips.
        ValueError: `correct` lies outside 0..clips.
    """
    if clips < 1:
        raise UserError(f"confidence interval: got {clips} test clips; expected at least 1")
    if not 0 <= correct <= clips:
        raise ValueError(f"got {correct} correct of {clips} clips; expected 0 to {clips}. Is it counted over seeds?")
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share = correct / clips
    centre = (share + z * z / (2 * clips)) / (1 + z * z / clips)
    half = z / (1 + z * z / clips) * sqrt(share * (1 - share) / clips + z * z / (4 * clips * clips))
    # at 0 and 1 the formula is exact on paper only: rounding must not put the estimate outside its own interval
    return Interval(max(0.0, min(centre - half, share)), min(1.0, max(centre + half, share)))


def wilson_over_seeds(correct: Bool[np.ndarray, "seeds clips"], confidence: float = 0.95) -> Interval:
    """Wilson's interval for the accuracy averaged over seeds; the clips count once, whatever the number of seeds."""
    seeds, clips = correct.shape
    return wilson(np.count_nonzero(correct) / seeds, clips, confidence)


def clips_needed(accuracy: float, half_width: float, confidence: float = 0.95) -> int:
    """Fewest test clips whose Wilson interval at this accuracy is no wider than `half_width` to each side.

    Squaring Wilson's half-width h = z / (1 + z^2/n) sqrt(p(1-p)/n + z^2/4n^2) gives a quadratic in n,
    h^2 (n + z^2)^2 = z^2 (p(1-p) n + z^2/4), whose larger root is the answer.
    """
    z2 = NormalDist().inv_cdf((1 + confidence) / 2) ** 2
    h2 = half_width * half_width
    # n^2 h2 + n (2 h2 z2 - z2 pq) + (h2 z2^2 - z2^2 / 4) = 0; the last term is negative for h < 1/2: one root > 0
    linear = z2 * (2 * h2 - accuracy * (1 - accuracy))
    constant = z2 * z2 * (h2 - 0.25)
    if constant >= 0:
        return 1
    return max(1, ceil((-linear + sqrt(linear * linear - 4 * h2 * constant)) / (2 * h2)))
