from math import comb

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from src.errors import UserError
from src.evaluation.intervals import Interval, clips_needed, wider, wilson, wilson_over_seeds


@pytest.mark.parametrize(
    ("correct", "clips", "low", "high"),
    # Newcombe (1998), Statistics in Medicine 17:857, Table I, method 3
    [(81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)],
)
def test_published_intervals(correct: int, clips: int, low: float, high: float) -> None:
    interval = wilson(correct, clips)
    assert interval.low == pytest.approx(low, abs=5e-5)  # the table has four decimals
    assert interval.high == pytest.approx(high, abs=5e-5)


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
def test_agrees_with_statsmodels(confidence: float) -> None:
    for correct, clips in [(0, 7), (3, 7), (7, 7), (88, 120)]:
        expected = proportion_confint(correct, clips, alpha=1 - confidence, method="wilson")
        interval = wilson(correct, clips, confidence)
        assert (interval.low, interval.high) == pytest.approx(expected, abs=1e-12)  # same formula, other rounding


def test_holds_the_estimate_even_at_the_ends() -> None:
    for clips in range(1, 200):
        assert 0.0 in wilson(0, clips)
        assert 1.0 in wilson(clips, clips)


def test_covers_the_truth_about_as_often_as_it_says() -> None:
    clips, truth = 120, 0.74
    weights = [comb(clips, k) * truth**k * (1 - truth) ** (clips - k) for k in range(clips + 1)]
    coverage = sum(weight for k, weight in enumerate(weights) if truth in wilson(k, clips))
    # exact coverage of a discrete count oscillates about 0.95; steps of one count weigh up to 0.02 near the ends
    assert coverage == pytest.approx(0.95, abs=0.02)


def test_two_points_are_optimistic_on_120_clips() -> None:
    # accuracy 74 % on about 120 clips: half-width about 8 points, so two points mean nothing there
    assert wilson(0.74 * 120, 120).half_width == pytest.approx(0.08, abs=0.005)


@pytest.mark.parametrize("accuracy", [0.0, 0.5, 0.74, 0.97, 1.0])
def test_clips_needed_is_the_first_that_does(accuracy: float) -> None:
    needed = clips_needed(accuracy, 0.03)
    assert wilson(accuracy * needed, needed).half_width <= 0.03
    assert wilson(accuracy * (needed - 1), needed - 1).half_width > 0.03


def test_seeds_are_not_clips() -> None:
    correct = np.array([[True] * 80 + [False] * 40, [True] * 70 + [False] * 50])
    assert wilson_over_seeds(correct) == wilson(75, 120)


def test_clips_needed_near_the_textbook_number() -> None:
    # Wald: n = 1.96^2 * 0.25 / 0.03^2 = 1067; Wilson at one half needs z^2 (about 4) fewer
    assert clips_needed(0.5, 0.03) == 1064
    assert clips_needed(0.5, 0.5) == 1


def test_wider() -> None:
    narrow, wide = Interval(0.4, 0.5), Interval(0.3, 0.5)
    assert wider(narrow, wide) is wide
    assert wider(wide, narrow) is wide
    assert np.isclose(wide.half_width, 0.1)


def test_refuses_counts_that_cannot_be() -> None:
    with pytest.raises(UserError, match=r"got 0 test clips; expected at least 1"):
        wilson(0, 0)
    with pytest.raises(ValueError, match=r"got 400 correct of 120 clips; expected 0 to 120. Is it counted over seeds"):
        wilson(400, 120)
