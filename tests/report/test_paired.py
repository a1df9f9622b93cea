import numpy as np
import pytest

from src.evaluation.comparison import compare
from src.evaluation.statistics import holm
from src.report import paired
from src.report.cell import Resampling

DRAWS = Resampling(2000, 0)
N = 60


@pytest.fixture
def rows(shelf, cells):
    """`rows(a, b, ...)`: rows of one dataset whose only seed got so many of 60 clips right, the first ones."""
    wanted = cells("augmentation")

    def made(*right: int, **more):
        for one, count in zip(wanted, right, strict=False):
            shelf.add(one, 0, np.arange(N) < count, **more)
        return shelf.desk(wanted).of("augmentation")

    return made


def test_a_family_is_corrected_together(rows):
    plain, repeated, augmented = rows(30, 36, 50)
    pairs = [paired.Pair("d", "one", plain, repeated), paired.Pair("d", "two", plain, augmented)]
    found = paired.family(pairs, DRAWS)
    singly = [
        compare(p.first.cell.compared, p.second.cell.compared, DRAWS.rng(_names(p)), draws=DRAWS.draws) for p in pairs
    ]
    assert [one.result for one in found] == singly
    np.testing.assert_array_equal([one.p for one in found], holm(np.array([s.p_bootstrap for s in singly])))
    np.testing.assert_array_equal([one.p_votes for one in found], holm(np.array([s.votes.p for s in singly])))
    assert [one.outcome for one in found] == ["higher", "higher"]
    # 6 clips gained and none lost: 2 * 2^-6, then 20 of 20
    assert found[0].result.votes.p == pytest.approx(2**-5)


def test_a_difference_of_two_points_that_is_a_tie_is_marked(rows):
    plain, repeated, _ = rows(30, 32, 50)  # 2 of 60 clips: 3.3 points, p of McNemar 0.5
    (one,) = paired.family([paired.Pair("d", "w", plain, repeated)], DRAWS)
    assert one.outcome == "tie" and one.two_points
    table = paired.comparisons("c", "t", [one])
    row = dict(zip(table.header, table.rows[0], strict=True))
    assert row["difference"] == "+3.3" and row["outcome"] == "tie" and row["2 points"] == "disagrees: says different"
    assert row["clips"] == "60" and row["audio"] == "rendered"


def test_a_difference_below_two_points_that_is_real_is_marked(shelf, cells):
    wanted = cells("augmentation")
    for one, right in zip(wanted, (980, 995), strict=False):  # 15 of 1000 clips: 1.5 points, all one way
        shelf.add(one, 0, np.arange(1000) < right)
    first, second, third = shelf.desk(wanted).of("augmentation")
    (one,) = paired.family([paired.Pair("d", "w", first, second)], DRAWS)
    assert one.outcome == "higher" and not one.two_points
    assert "disagrees: says equal" in paired.comparisons("c", "t", [one]).rows[0]
    (gone,) = paired.family([paired.Pair("d", "w", first, third)], DRAWS)
    assert gone.outcome == "missing" and gone.error == ""
    assert paired.comparisons("c", "t", [gone]).rows[0][2] == "missing"


def test_different_test_clips_are_an_error_not_a_number(shelf, cells):
    wanted = cells("augmentation")
    shelf.add(wanted[0], 0, np.ones(20, dtype=bool))
    shelf.add(wanted[1], 0, np.ones(18, dtype=bool))
    first, second, _ = shelf.desk(wanted).of("augmentation")
    (one,) = paired.family([paired.Pair("d", "w", first, second)], DRAWS)
    assert one.outcome == "error" and one.result is None and np.isnan(one.p)
    (told,) = paired.errors([one])
    assert told.startswith("d, w: ") and "tested on different clips: 2 of 20 only in the first" in told
    table = paired.comparisons("c", "t", [one])
    assert table.rows[0][2] == "no number: see errors"
    assert "difference" not in table.data[0]


def test_an_error_does_not_join_the_family(shelf, cells, rows):
    plain, repeated, augmented = rows(30, 50, 31)
    alone = paired.family([paired.Pair("d", "w", plain, repeated)], DRAWS)[0]
    other = cells("table3", "dataset=ballroom2")
    shelf.add(other[0], 0, np.ones(7, dtype=bool))
    stranger = shelf.desk(other).of("table3")[0]
    beside = paired.family([paired.Pair("d", "w", plain, stranger), paired.Pair("d", "w", plain, repeated)], DRAWS)
    assert [one.outcome for one in beside] == ["error", "higher"]
    assert beside[1].p == alone.p
    del augmented


def _names(pair) -> str:
    return f"{pair.first.cell.wanted.name} / {pair.second.cell.wanted.name}"
