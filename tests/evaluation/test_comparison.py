from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as sm_mcnemar

from src.errors import UserError
from src.evaluation.comparison import Cell, Comparison, compare, majority, mcnemar, sign_flip


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def cell(correct: np.ndarray, name: str = "a cell", groups: Sequence[str] | None = None, **more: bool) -> Cell:
    return Cell(name, [f"clip{index}" for index in range(correct.shape[1])], correct, groups, **more)


def ends(result: Comparison) -> tuple[float, float]:
    assert result.interval is not None
    return result.interval.low, result.interval.high


@pytest.mark.parametrize(
    ("only_first", "only_second", "p"),
    [
        (1, 7, 0.070),  # Fagerland, Lydersen, Laake (2013), BMC Med. Res. Methodol. 13:91, table 2: exact 0.070
        (1, 9, 22 / 1024),  # 2 (C(10,0) + C(10,1)) / 2^10
        (5, 5, 1.0),
        (0, 0, 1.0),
        (0, 5, 2 / 32),  # five disagreements never reach 0.05
    ],
)
def test_mcnemar_by_hand(only_first: int, only_second: int, p: float) -> None:
    assert mcnemar(only_first, only_second) == pytest.approx(p, abs=5e-4)
    assert mcnemar(only_second, only_first) == mcnemar(only_first, only_second)
    flips = np.repeat([-1, 0, 1], [only_first, 7, only_second])
    assert sign_flip(flips) == pytest.approx(mcnemar(only_first, only_second), rel=1e-9)


def test_mcnemar_agrees_with_statsmodels() -> None:
    for only_first, only_second in [(3, 14), (40, 61), (121, 59), (900, 1000)]:
        expected = sm_mcnemar([[10, only_first], [only_second, 10]], exact=True).pvalue
        assert mcnemar(only_first, only_second) == pytest.approx(expected, rel=1e-9)  # two incomplete beta functions


def test_sign_flips_of_a_published_experiment() -> None:
    # Fisher (1935), The Design of Experiments, section 21: Darwin's maize, crossed less self-fertilised, in eighths of
    # an inch; 1726 of the 2^15 = 32768 sign changes give a sum of at least 314 in size
    darwin = np.array([49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48])
    assert sign_flip(darwin) == pytest.approx(1726 / 32768, abs=1e-12)


@pytest.mark.parametrize("groups", [2, 6, 11])
def test_sign_flips_agree_with_scipy_counting_all(groups: int) -> None:
    for seed in range(5):
        differences = rng(seed).integers(-40, 60, groups)
        expected = stats.permutation_test(
            (differences.astype(float),), np.sum, permutation_type="samples", n_resamples=np.inf
        ).pvalue
        assert sign_flip(differences) == pytest.approx(expected, abs=1e-12)


def test_many_flips_are_counted_as_well() -> None:
    differences = rng(1).integers(-30, 35, 2000)
    normal = 2 * stats.norm.sf(abs(differences.sum()) / np.sqrt((differences**2).sum()))
    assert sign_flip(differences) == pytest.approx(normal, abs=0.003)  # the sum moves in steps of two
    assert sign_flip(np.ones(2000, dtype=int)) > 0, "2^-1999 is below rounding"


def test_majority_and_ties() -> None:
    correct = np.array([[1, 1, 0, 0], [1, 0, 1, 0], [1, 1, 0, 0], [1, 0, 0, 0]], dtype=bool)
    right, tied = majority(correct)
    np.testing.assert_array_equal(right, [True, False, False, False])
    np.testing.assert_array_equal(tied, [False, True, False, False])
    _, tied_of_three = majority(correct[:3])
    assert not tied_of_three.any()


def test_a_worked_comparison() -> None:
    first = np.array([[1, 1, 0, 0, 1, 1], [1, 0, 0, 0, 1, 1]], dtype=bool)  # accuracies 4/6 and 3/6
    second = np.array([[1, 1, 1, 1, 0, 1]], dtype=bool)  # 5/6
    result = compare(cell(first), cell(second))
    assert str(result.clusters) == "6"
    assert result.difference == pytest.approx(5 / 6 - 7 / 12, abs=1e-15)
    # clip 1 splits the first cell's two runs; of the others, 2 and 3 are right only in the second, 4 only in the first
    assert result.votes is not None
    assert (result.votes.only_first, result.votes.only_second, result.votes.tied) == (1, 2, 1)
    assert result.votes.p == 1.0
    # differences 0, 1/2, 1, 1, -1, 0: of 16 sign patterns of (1, 2, 2, 2) the sum is 3 or more in size in 10
    assert result.p_flip == pytest.approx(10 / 16)


def test_interval_of_a_clear_difference_by_hand() -> None:
    first, second = np.arange(400)[None] < 280, np.arange(400)[None] < 320  # 70 and 80 %: 40 clips turn right
    result = compare(cell(first), cell(second))
    # variance 0.1 * 0.9 / 399 and that of two clips more, 2 / 400^2; t(399) = 1.9659
    half = 1.9659 * np.sqrt(0.09 / 399 + 2 / 400**2)
    assert ends(result) == pytest.approx((0.1 - half, 0.1 + half), abs=1e-5)
    assert result.p_flip == pytest.approx(2 * 0.5**40, rel=1e-3)
    # |t| = 0.1 / 0.015430 = 6.481
    assert result.p == pytest.approx(2 * stats.t.sf(0.1 / np.sqrt(0.09 / 399 + 2 / 400**2), 399), rel=1e-6)


def test_interval_over_groups_by_hand() -> None:
    """Ten groups of four: changes of 4, 3, 3, 2, 2, 2, 1, 1, 1, 1 clips, 20 of 40 in all."""
    gained = np.array([4, 3, 3, 2, 2, 2, 1, 1, 1, 1])
    second = (np.arange(4) < gained[:, None]).reshape(1, -1)
    groups = [str(index // 4) for index in range(40)]
    result = compare(cell(np.zeros((1, 40), dtype=bool), groups=groups), cell(second, groups=groups))
    # shares with mean 0.5 and sum of squares (50 / 16 - 10 / 4) = 0.625: 0.625 / 9 / 10 = 0.0069444; less than 40
    # independent clips have, 0.25 / 39, so that 39 clips' two pseudo-clips add 2 / (40 * 36.923); t(9) = 2.2622
    effect = 0.625 / 90 / (0.25 / 39)
    half = 2.2622 * np.sqrt(0.625 / 90 + 2 / (40 * 40 / effect))
    assert result.difference == 0.5
    assert ends(result) == pytest.approx((0.5 - half, 0.5 + half), abs=1e-4)
    assert result.p_flip == pytest.approx(2 / 2**10)
    assert result.votes is None, "McNemar's test takes clips for independent"


def test_runs_that_differ_widen_it() -> None:
    """Accuracies 0.6, 0.7, 0.8 against 0.7 thrice: t(2) sd / sqrt(3) = 0.248 from the first cell's runs alone."""
    clips = rng(3).random(1000)
    moody = cell(np.stack([clips < level for level in (0.6, 0.7, 0.8)]))
    steady = cell(np.stack([clips < 0.7] * 3))
    result = compare(moody, steady)
    assert result.interval is not None
    assert result.interval.half_width == pytest.approx(0.25, abs=0.03)


def test_the_interval_contains_0_if_and_only_if_p_is_above_its_level() -> None:
    source = rng(5)
    for trial in range(300):
        groups = [str(index // (1 + trial % 3)) for index in range(60)]
        first = source.random((1 + trial % 2, 60)) < 0.6
        second = source.random((1, 60)) < 0.6 + 0.3 * source.random()
        result = compare(cell(first, groups=groups), cell(second))
        assert result.interval is not None
        assert (0.0 in result.interval) == (result.p > 0.05), result


def test_order_of_clips_does_not_matter_and_swapping_turns_the_sign() -> None:
    first, second = rng(1).random((3, 90)) < 0.6, rng(2).random((5, 90)) < 0.7
    straight = compare(cell(first), cell(second))
    shuffle = rng(3).permutation(90)
    shuffled = Cell("shuffled", [f"clip{index}" for index in shuffle], second[:, shuffle])
    assert compare(cell(first), shuffled) == straight
    turned = compare(cell(second), cell(first))
    assert turned.difference == -straight.difference
    low, high = ends(straight)
    assert ends(turned) == pytest.approx((-high, -low))
    assert turned.p == pytest.approx(straight.p)


def test_equal_cells_do_not_differ_but_might() -> None:
    """No clip of a hundred differs: with 95 % confidence up to 1 - 0.025^(1/100) = 3.6 % of all clips do."""
    correct = rng().random((5, 100)) < 0.8
    result = compare(cell(correct), cell(correct))
    assert result.votes is not None
    assert (result.difference, result.p, result.votes.p) == (0, 1, 1)
    steady = cell(correct[:1])
    assert ends(compare(steady, steady)) == pytest.approx((-0.0362, 0.0362), abs=1e-4)


def test_equal_differences_in_all_groups_are_no_certainty() -> None:
    """Each of eight groups of five gains one clip: no variance between groups, yet no interval without width."""
    gained = np.tile(np.arange(5) < 1, 8)[None]
    groups = [str(index // 5) for index in range(40)]
    result = compare(cell(np.zeros((1, 40), dtype=bool), groups=groups), cell(gained))
    low, high = ends(result)
    assert result.difference == pytest.approx(0.2)
    # forty clips without a change, each by itself, hide up to 1 - 0.025^(1/40) = 0.088
    assert 0 < low <= 0.2 - 0.088 and high >= 0.2 + 0.088


def test_seeds_do_not_pass_for_clips() -> None:
    first, second = rng(1).random((1, 100)) < 0.6, rng(2).random((1, 100)) < 0.7
    once = compare(cell(first), cell(second))
    copied = compare(cell(np.repeat(first, 9, axis=0)), cell(np.repeat(second, 9, axis=0)))
    assert copied.p_flip == pytest.approx(once.p_flip)
    # but for the two pseudo-clips, which a single run of nine has seen
    assert copied.interval is not None and once.interval is not None
    assert copied.interval.half_width == pytest.approx(once.interval.half_width, rel=0.03)


def test_copies_of_a_clip_are_one_clip() -> None:
    songs_first, songs_second = rng(1).random((1, 40)) < 0.6, rng(2).random((1, 40)) < 0.7
    first, second = np.repeat(songs_first, 9, axis=1), np.repeat(songs_second, 9, axis=1)
    groups = [str(index // 9) for index in range(360)]
    grouped, songs = compare(cell(first, groups=groups), cell(second)), compare(cell(songs_first), cell(songs_second))
    assert grouped.p_flip == pytest.approx(songs.p_flip)
    assert grouped.interval is not None and songs.interval is not None
    # nine times the clips would seem to give a third of the width; two pseudo-clips weigh less in 360 than in 40
    assert grouped.interval.half_width == pytest.approx(songs.interval.half_width, rel=0.06)
    assert compare(cell(first), cell(second)).interval.half_width < grouped.interval.half_width / 2  # type: ignore[union-attr]


def test_groups_that_one_cell_does_not_know_are_the_other_s() -> None:
    first, second = rng(1).random((1, 40)) < 0.6, rng(2).random((1, 40)) < 0.8
    groups = [str(index // 4) for index in range(40)]
    shuffle = rng(3).permutation(40)
    named = Cell("b", [f"clip{i}" for i in shuffle], second[:, shuffle], [groups[i] for i in shuffle])
    both = compare(cell(first, groups=groups), named)
    assert both.clusters.count == 10
    assert compare(cell(first), named) == both


@pytest.mark.parametrize("groups", [1, 2, 5])
def test_few_groups_give_no_verdict(groups: int) -> None:
    """One clip in each group of eight turns right: never wrong, but no test over five groups can say so."""
    clips = 8 * groups
    names = [f"speaker {index // 8}" for index in range(clips)]
    result = compare(cell(np.zeros((1, clips), dtype=bool), groups=names), cell(np.arange(clips)[None] % 8 == 0))
    assert result.refusal == (f"{groups} groups" if groups > 1 else "1 group")
    assert np.isnan(result.p) and np.isnan(result.p_flip)
    assert (result.interval is None) == (groups == 1)
    if result.interval is not None:
        assert 0.0 in result.interval


def test_six_groups_can_give_a_verdict() -> None:
    names = [str(index // 8) for index in range(48)]
    result = compare(cell(np.zeros((1, 48), dtype=bool), groups=names), cell(np.arange(48)[None] % 8 < 4))
    assert result.refusal == "" and result.p_flip == pytest.approx(2 / 64) and result.p <= 0.05


def test_five_clips_are_too_few_as_well() -> None:
    result = compare(cell(np.zeros((1, 5), dtype=bool)), cell(np.ones((1, 5), dtype=bool)))
    assert result.refusal == "5 clips"
    assert result.votes is not None and result.votes.p == pytest.approx(2 / 32)


def test_one_run_of_a_finetuned_network_gives_no_verdict() -> None:
    first, second = np.arange(100)[None] < 50, np.arange(100)[None] < 90
    assert compare(cell(first), cell(second)).refusal == ""
    assert compare(cell(first), cell(second, finetuned=True)).refusal == "1 run"
    several = cell(np.repeat(second, 3, axis=0), finetuned=True)
    assert compare(cell(first), several).refusal == ""


def test_different_test_sets_are_refused_with_numbers() -> None:
    first = Cell("ballroom unprocessed", [f"clip{index}" for index in range(10)], np.ones((1, 10), dtype=bool))
    second = Cell("ballroom normalized", [f"clip{index}" for index in range(3, 15)], np.ones((1, 12), dtype=bool))
    message = (
        r"ballroom unprocessed and ballroom normalized were tested on different clips: 3 of 10 only in the first, "
        r"5 of 12 only in the second; expected the same"
    )
    with pytest.raises(UserError, match=message):
        compare(first, second)


def test_what_is_not_a_cell() -> None:
    with pytest.raises(ValueError, match=r"x: got 2 clip names for 3 columns"):
        Cell("x", ["a", "b"], np.ones((1, 3), dtype=bool))
    with pytest.raises(ValueError, match=r"x: a clip is named twice"):
        Cell("x", ["a", "a"], np.ones((1, 2), dtype=bool))
    with pytest.raises(UserError, match=r"x: got 0 runs of 2 test clips; expected 1 of each or more"):
        Cell("x", ["a", "b"], np.ones((0, 2), dtype=bool))
