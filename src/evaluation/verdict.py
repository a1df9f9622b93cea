"""Does our result agree with the paper's?"""

from dataclasses import dataclass
from math import ceil
from typing import Literal

from src.evaluation.intervals import Interval

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
