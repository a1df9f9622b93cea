from math import sqrt

import numpy as np
import pytest

from src.evaluation.intervals import Interval, accuracy_interval
from src.evaluation.statistics import judge


def test_stand_ins_are_never_judged() -> None:
    verdict = judge(0.95, 5000, Interval(0.94, 0.96), "rendered")
    assert (verdict.outcome, verdict.clips_needed) == ("rendered", None)


@pytest.mark.parametrize(
    ("paper", "outcome"),
    [(0.965, "reproduced"), (0.94, "reproduced"), (0.966, "not reproduced"), (0.93, "not reproduced")],
)
def test_the_paper_s_value_lies_inside_or_outside(paper: float, outcome: str) -> None:
    assert judge(paper, 900, Interval(0.94, 0.965), "recorded").outcome == outcome


def test_too_few_clips_to_tell() -> None:
    verdict = judge(0.7, 120, Interval(0.64, 0.80), "recorded")
    # 8 points to each side are to become 3: (8 / 3)^2 = 7.1 times as many clips
    assert str(verdict) == f"too few clips, about {verdict.clips_needed} would do"
    assert verdict.clips_needed == pytest.approx(120 * 64 / 9, abs=1)


def test_as_many_clips_as_are_asked_for_do() -> None:
    for accuracy in (0.55, 0.75, 0.9):
        few = accuracy_interval(np.arange(200)[None] < 200 * accuracy)
        needed = judge(0.5, 200, few, "recorded").clips_needed
        assert needed is not None
        enough = accuracy_interval(np.arange(needed)[None] < needed * accuracy)
        # the width is proportional to 1 / sqrt(n) but for terms of order 1 / n
        assert enough is not None and enough.half_width == pytest.approx(0.03, rel=1 / sqrt(200))


def test_clips_of_one_group_give_no_verdict() -> None:
    verdict = judge(0.7, 120, None, "recorded")
    assert (verdict.outcome, verdict.clips_needed) == ("too few clips", None)


def test_percent_is_noticed() -> None:
    with pytest.raises(ValueError, match=r"paper's accuracy: got 73\.9; expected 0 to 1"):
        judge(73.9, 100, Interval(0.7, 0.8), "recorded")
