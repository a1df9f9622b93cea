import pytest

from src.evaluation.intervals import Interval, wilson
from src.evaluation.verdict import Verdict, judge


def test_inside_and_outside() -> None:
    ours = wilson(1260, 1500)  # 84 %, +-1.9 points
    assert judge(0.855, 0.84, 1500, ours, "recorded") == Verdict("reproduced")
    assert judge(0.872, 0.84, 1500, ours, "recorded") == Verdict("not reproduced")
    assert str(judge(0.872, 0.84, 1500, ours, "recorded")) == "not reproduced"


def test_too_few_clips_names_a_number_that_does() -> None:
    verdict = judge(0.739, 0.74, 120, wilson(0.74 * 120, 120), "recorded")
    assert verdict.outcome == "too few clips"
    needed = verdict.clips_needed
    assert needed is not None
    assert wilson(0.74 * needed, needed).half_width <= 0.03 < wilson(0.74 * (needed - 2), needed - 2).half_width
    assert str(verdict) == f"too few clips, about {needed} would do"


def test_groups_cost_more_clips() -> None:
    alone = judge(0.739, 0.74, 120, wilson(0.74 * 120, 120), "recorded").clips_needed
    half = 2 * wilson(0.74 * 120, 120).half_width
    grouped = judge(0.739, 0.74, 120, Interval(0.74 - half, 0.74 + half), "recorded").clips_needed
    assert alone is not None
    assert grouped == pytest.approx(4 * alone, abs=4)  # twice as wide: four times the clips, up to rounding up


def test_number_needed_is_always_more_than_there_are() -> None:
    ours = Interval(0.93, 1.0)  # hardly too wide, from seeds that differ
    needed = judge(0.97, 0.97, 5000, ours, "recorded").clips_needed
    assert needed is not None
    assert needed > 5000


def test_rendered_audio_says_nothing_about_the_paper() -> None:
    assert judge(0.858, 0.84, 1500, wilson(1260, 1500), "rendered") == Verdict("rendered")


def test_percent_is_said() -> None:
    with pytest.raises(ValueError, match=r"paper's accuracy: got 85\.8; expected 0 to 1. Is it in percent\?"):
        judge(85.8, 0.84, 1500, wilson(1260, 1500), "recorded")
