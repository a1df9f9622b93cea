"""Does our result agree with the paper's?"""

from dataclasses import dataclass
from math import ceil
from typing import Literal

from src.evaluation.intervals import Interval, clips_needed, wilson

HALF_WIDTH = 0.03  # an interval of more than 3 points to each side agrees with too much to be a verdict

Outcome = Literal["reproduced", "not reproduced", "too few clips", "rendered"]


@dataclass(frozen=True)
class Verdict:
    """What may be said of the paper's value.

    Attributes:
        outcome: `reproduced`: the paper's value lies inside our interval; `not reproduced`: outside;
            `too few clips`: our interval is too wide to tell; `rendered`: synthesised audio says nothing about it.
        clips_needed: with too few, about how many test clips would do; None otherwise.
    """

    outcome: Outcome
    clips_needed: int | None = None

    def __str__(self) -> str:
        return self.outcome if self.clips_needed is None else f"{self.outcome}, about {self.clips_needed} would do"


def judge(
    paper: float,
    accuracy: float,
    clips: int,
    interval: Interval,
    origin: Literal["recorded", "rendered"],
) -> Verdict:
    """Judge the paper's accuracy by ours. The paper's own uncertainty is unknown and left out.

    Args:
        paper: the paper's accuracy, 0..1.
        accuracy: ours, averaged over seeds, 0..1.
        clips: number of our test clips.
        interval: ours; with few mistakes or with grouped clips take the wider of Wilson's and the bootstrap's.
        origin: of our audio.

    Raises:
        ValueError: an accuracy lies outside 0..1.
    """
    for which, value in (("paper's", paper), ("our", accuracy)):
        if not 0 <= value <= 1:
            raise ValueError(f"{which} accuracy: got {value}; expected 0 to 1. Is it in percent?")
    if origin == "rendered":
        return Verdict("rendered")
    if interval.half_width > HALF_WIDTH:
        return Verdict("too few clips", _clips_that_would_do(accuracy, clips, interval))
    return Verdict("reproduced" if paper in interval else "not reproduced")


def _clips_that_would_do(accuracy: float, clips: int, interval: Interval) -> int:
    """Wilson's number, times the design effect: how much wider, squared, groups and seeds make our interval."""
    effect = (interval.half_width / wilson(accuracy * clips, clips).half_width) ** 2
    return max(clips + 1, ceil(clips_needed(accuracy, HALF_WIDTH) * max(1.0, effect)))
