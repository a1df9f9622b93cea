import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from src.errors import UserError
from src.evaluation.intervals import Clusters, Interval, accuracy_interval, macro_f1_interval, variance


def first(right: int, clips: int) -> np.ndarray:
    return np.arange(clips)[None] < right


def ends(interval: Interval | None) -> tuple[float, float]:
    assert interval is not None
    return interval.low, interval.high


def test_by_hand() -> None:
    # 45 of 60: V = 0.75 * 0.25 / 59, t(59) = 2.0010, and (0.75 - p)^2 = t^2 V p / 0.75 + 1.96^2 (0.75 - p) p / 60
    # is 1.06403 p^2 - 1.56499 p + 0.5625 = 0, whose smaller root is 0.62508; for the 0.25 that are wrong, 0.15582
    assert ends(accuracy_interval(first(45, 60))) == pytest.approx((0.62508, 1 - 0.15582), abs=1e-5)


def test_near_wilson_for_independent_clips() -> None:
    for right, clips in [(300, 600), (540, 600), (150, 200), (45, 60)]:
        expected = proportion_confint(right, clips, method="wilson")
        # t^2 n / (n - 1) for z^2 widens by (1 + 2.4 / n) at most
        assert ends(accuracy_interval(first(right, clips))) == pytest.approx(expected, abs=0.2 / clips)


@pytest.mark.parametrize("clips", [8, 12, 60])
def test_without_a_mistake_it_is_wilson_s(clips: int) -> None:
    expected = proportion_confint(clips, clips, method="wilson")
    assert ends(accuracy_interval(first(clips, clips))) == pytest.approx(expected, abs=1e-12)
    low, high = ends(accuracy_interval(first(0, clips)))
    assert (low, high) == pytest.approx((1 - expected[1], 1 - expected[0]), abs=1e-12)


def test_with_one_mistake_it_reaches_the_bound_of_clopper_and_pearson() -> None:
    # one-sided 95 %: 1 - p with (1 - p)^... solved by the beta distribution; Wilson's 0.985 covers 84 % near 0.986
    (_, high) = ends(accuracy_interval(first(11, 12)))
    assert high == pytest.approx(1 - stats.beta.ppf(0.05, 1, 12))
    assert high == pytest.approx(0.95 ** (1 / 12))  # the chance of 12 right ones is 0.95 there


def test_it_holds_the_estimate_and_lies_between_0_and_1() -> None:
    for clips in (2, 3, 10, 57):
        for right in range(clips + 1):
            low, high = ends(accuracy_interval(first(right, clips)))
            assert 0 <= low <= right / clips <= high <= 1


def test_copies_of_a_clip_are_one_clip() -> None:
    songs = np.random.default_rng(1).random((1, 30)) < 0.75
    groups = [str(i // 8) for i in range(240)]
    copied = accuracy_interval(np.repeat(songs, 8, axis=1), groups)
    assert ends(copied) == pytest.approx(ends(accuracy_interval(songs)), abs=1e-12)


def test_copies_of_a_run_add_little() -> None:
    one = np.random.default_rng(2).random((1, 80)) < 0.8
    copied = accuracy_interval(np.repeat(one, 5, axis=0))
    assert ends(copied) == pytest.approx(ends(accuracy_interval(one)), abs=1e-12)


def test_runs_that_differ_widen_it() -> None:
    """Accuracies 0.60, 0.70 and 0.80 of 1000 clips: t(2) sd / sqrt(3) = 4.303 * 0.1 / 1.732 = 0.248 from runs alone."""
    clips = np.random.default_rng(3).random(1000)
    spread = accuracy_interval(np.stack([clips < level for level in (0.6, 0.7, 0.8)]))
    agreed = accuracy_interval(np.stack([clips < 0.7] * 3))
    assert spread is not None and agreed is not None
    assert spread.half_width == pytest.approx(0.25, abs=0.03)
    assert agreed.half_width == pytest.approx(0.028, abs=0.002)


def test_one_group_says_nothing_about_others() -> None:
    assert accuracy_interval(first(1, 1)) is None
    assert accuracy_interval(first(8, 10), ["speaker"] * 10) is None
    assert macro_f1_interval(np.array([0, 1, 0]), np.array([[0, 1, 1]]), 2, ["speaker"] * 3) is None


def test_no_mistake_in_a_few_groups_is_no_certainty() -> None:
    """Six speakers without a mistake: as six clips, whatever the number of theirs."""
    found = accuracy_interval(first(48, 48), [str(i // 8) for i in range(48)])
    # the one-sided 95 % bound, 0.05^(1/6), lies below Wilson's 6 / (6 + 1.96^2) = 0.610
    assert ends(found) == pytest.approx((0.05 ** (1 / 6), 1), abs=1e-12)


def test_one_large_group_counts_for_little() -> None:
    """Thirty singers of one clip and one of ninety: the effective number of groups is 120^2 / (30 + 90^2) = 1.8."""
    rng = np.random.default_rng(4)
    correct = rng.random((1, 120)) < 0.7
    groups = ["one"] * 90 + [None] * 30
    lone, even = accuracy_interval(correct, groups), accuracy_interval(correct)
    assert lone is not None and even is not None
    assert lone.half_width > 3 * even.half_width


def test_macro_f1_has_the_variance_of_the_delta_method() -> None:
    """Against the jackknife over clips, which agrees to order 1 / n."""
    rng = np.random.default_rng(5)
    targets = rng.integers(0, 3, 300)
    predictions = np.where(rng.random((1, 300)) < 0.7, targets, rng.integers(0, 3, 300))

    def f1(keep: np.ndarray) -> float:
        t, p = targets[keep], predictions[0][keep]
        return float(np.mean([2 * ((t == c) & (p == c)).sum() / ((t == c).sum() + (p == c).sum()) for c in range(3)]))

    left_out = np.array([f1(np.arange(300) != i) for i in range(300)])
    deviation = np.sqrt(299 / 300 * ((left_out - left_out.mean()) ** 2).sum())
    found = macro_f1_interval(targets, predictions, 3)
    assert found is not None
    assert found.half_width == pytest.approx(1.968 * deviation, rel=0.03)
    assert f1(np.arange(300) >= 0) in found


def test_macro_f1_of_balanced_unbiased_mistakes_is_near_accuracy() -> None:
    rng = np.random.default_rng(2)
    targets = np.tile(np.arange(4), 100)
    predictions = np.where(rng.random((3, 400)) < 0.2, (targets + rng.integers(1, 4, (3, 400))) % 4, targets)
    # with equal classes and symmetric mistakes both estimate 0.8; they differ by the chance imbalance of the draws
    assert ends(macro_f1_interval(targets, predictions, 4)) == pytest.approx(
        ends(accuracy_interval(predictions == targets)), abs=0.01
    )


def test_a_rare_class_without_a_mistake_is_no_certainty() -> None:
    """Ten clips of a class of two decide half of macro F1: as twenty clips without a mistake, not as three hundred."""
    targets = np.array([0] * 290 + [1] * 10)
    found = macro_f1_interval(targets, targets[None], 2)
    assert ends(found) == pytest.approx(proportion_confint(20, 20, method="wilson"), abs=1e-12)


def test_nothing_to_average_is_refused() -> None:
    message = r"got 3 runs of 0 test clips; expected 1 of each or more"
    with pytest.raises(UserError, match=message):
        accuracy_interval(np.ones((3, 0), dtype=bool))
    with pytest.raises(UserError, match=message):
        macro_f1_interval(np.zeros(0, dtype=int), np.zeros((3, 0), dtype=int), 2)


def test_other_levels_of_confidence() -> None:
    correct = np.random.default_rng(6).random((3, 50)) < 0.8
    widths = [accuracy_interval(correct, confidence=c).half_width for c in (0.8, 0.9, 0.95, 0.99)]  # type: ignore[union-attr]
    assert widths == sorted(widths)
    spread = variance((correct - correct.mean()) / 50, Clusters.of(None, 50))
    assert widths[2] < 2 * spread.margin(0.05)
