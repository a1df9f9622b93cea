import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar as sm_mcnemar

from src.errors import UserError
from src.evaluation.comparison import Cell, compare, majority, mcnemar


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def cell(correct: np.ndarray, name: str = "a cell", groups: list[str] | None = None) -> Cell:
    return Cell(name, [f"clip{index}" for index in range(correct.shape[1])], correct, groups)


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


def test_mcnemar_agrees_with_statsmodels() -> None:
    for only_first, only_second in [(3, 14), (40, 61), (121, 59), (900, 1000)]:
        expected = sm_mcnemar([[10, only_first], [only_second, 10]], exact=True).pvalue
        assert mcnemar(only_first, only_second) == pytest.approx(expected, rel=1e-9)  # two incomplete beta functions


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
    result = compare(cell(first), cell(second), rng())
    assert result.clips == 6
    assert result.difference == pytest.approx(5 / 6 - 7 / 12, abs=1e-15)
    # clip 1 splits the first cell's two seeds; of the others, 2 and 3 are right only in the second, 4 only in the first
    assert (result.votes.only_first, result.votes.only_second, result.votes.tied) == (1, 2, 1)
    assert result.votes.p == 1.0


def test_interval_and_p_of_a_clear_difference() -> None:
    first, second = np.arange(400)[None] < 280, np.arange(400)[None] < 320  # 70 and 80 %: 40 clips turn right
    result = compare(cell(first), cell(second), rng())
    # differences are 1 on a tenth of the clips: +-1.96 sqrt(0.1 * 0.9 / 400) = 0.0294; steps of a clip are 0.0025
    assert result.interval.half_width == pytest.approx(0.0294, abs=0.0026)
    assert result.interval.low > 0
    assert result.p_bootstrap == pytest.approx(2 / 10_001)  # no resample without a gain
    assert result.votes.p == pytest.approx(2 * 0.5**40, rel=1e-9)


def test_order_of_clips_does_not_matter_and_swapping_turns_the_sign() -> None:
    first, second = rng(1).random((3, 90)) < 0.6, rng(2).random((5, 90)) < 0.7
    straight = compare(cell(first), cell(second), rng())
    shuffle = rng(3).permutation(90)
    shuffled = Cell("shuffled", [f"clip{index}" for index in shuffle], second[:, shuffle])
    assert compare(cell(first), shuffled, rng()) == straight
    turned = compare(cell(second), cell(first), rng())
    assert turned.difference == -straight.difference
    assert (turned.interval.low, turned.interval.high) == pytest.approx(
        (-straight.interval.high, -straight.interval.low)
    )
    assert turned.p_bootstrap == straight.p_bootstrap
    assert turned.votes.p == straight.votes.p


def test_equal_cells_do_not_differ() -> None:
    correct = rng().random((5, 100)) < 0.8
    result = compare(cell(correct), cell(correct), rng())
    assert (result.difference, result.interval.low, result.interval.high) == (0, 0, 0)
    assert (result.p_bootstrap, result.votes.p) == (1, 1)


def test_seeds_do_not_pass_for_clips() -> None:
    first, second = rng(1).random((1, 100)) < 0.6, rng(2).random((1, 100)) < 0.7
    once = compare(cell(first), cell(second), rng())
    copied = compare(cell(np.repeat(first, 9, axis=0)), cell(np.repeat(second, 9, axis=0)), rng())
    assert copied.interval == once.interval
    assert copied.p_bootstrap == once.p_bootstrap


def test_groups_widen_the_interval() -> None:
    songs_first, songs_second = rng(1).random((1, 40)) < 0.6, rng(2).random((1, 40)) < 0.7
    first, second = np.repeat(songs_first, 9, axis=1), np.repeat(songs_second, 9, axis=1)
    groups = [str(index // 9) for index in range(360)]
    grouped = compare(cell(first, groups=groups), cell(second), rng())
    assert grouped.interval == compare(cell(songs_first), cell(songs_second), rng()).interval
    # nine times the clips would seem to give a third of the width
    assert compare(cell(first), cell(second), rng()).interval.half_width < grouped.interval.half_width / 2


def test_false_alarms_are_about_as_many_as_promised() -> None:
    source = rng(11)
    chance = source.random(120)  # some clips are easy, some hard, alike for both cells
    alarms = sum(
        compare(
            cell(source.random((5, 120)) < chance), cell(source.random((5, 120)) < chance), source, draws=400
        ).p_bootstrap
        < 0.05
        for _ in range(200)
    )
    assert 2 <= alarms <= 20  # 10 expected; the binomial's central 99.7 % is 2 to 20


def test_different_test_sets_are_refused_with_numbers() -> None:
    first = Cell("ballroom unprocessed", [f"clip{index}" for index in range(10)], np.ones((1, 10), dtype=bool))
    second = Cell("ballroom normalized", [f"clip{index}" for index in range(3, 15)], np.ones((1, 12), dtype=bool))
    message = (
        r"ballroom unprocessed and ballroom normalized were tested on different clips: 3 of 10 only in the first, "
        r"5 of 12 only in the second; expected the same"
    )
    with pytest.raises(UserError, match=message):
        compare(first, second, rng())


def test_what_is_not_a_cell() -> None:
    with pytest.raises(ValueError, match=r"x: got 2 clip names for 3 columns"):
        Cell("x", ["a", "b"], np.ones((1, 3), dtype=bool))
    with pytest.raises(ValueError, match=r"x: a clip is named twice"):
        Cell("x", ["a", "a"], np.ones((1, 2), dtype=bool))
    with pytest.raises(UserError, match=r"x: got 0 runs of 2 test clips; expected 1 of each or more"):
        Cell("x", ["a", "b"], np.ones((0, 2), dtype=bool))
