from dataclasses import replace

import numpy as np
import pytest

from src.evaluation.comparison import compare
from src.evaluation.statistics import holm
from src.report import paired
from src.report.paper_values import Published

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
    found = paired.family(pairs)
    singly = [compare(p.first.cell.compared, p.second.cell.compared) for p in pairs]
    assert [one.result for one in found] == singly
    np.testing.assert_array_equal([one.p for one in found], holm(np.array([s.p for s in singly])))
    np.testing.assert_array_equal([one.p_votes for one in found], holm(np.array([s.votes.p for s in singly])))
    assert [one.outcome for one in found] == ["higher", "higher"]
    # 6 clips gained and none lost: 2 * 2^-6, then 20 of 20
    assert found[0].result.votes.p == pytest.approx(2**-5)


def test_the_papers_difference_is_second_minus_first_where_it_says_which_condition(rows):
    first, second, _ = rows(30, 36, 50)
    theirs = [Published(0.70, "table 2"), Published(0.84, "table 2"), Published(0.9, "text", condition_stated=False)]
    pair = paired.Pair("d", "w", replace(first, paper=theirs[0]), replace(second, paper=theirs[1]))
    assert paired.Compared(pair, None).paper == pytest.approx(0.14)
    unstated = paired.Pair("d", "w", replace(first, paper=theirs[0]), replace(second, paper=theirs[2]))
    assert paired.Compared(unstated, None).paper is None


def test_a_difference_of_two_points_that_is_a_tie_is_marked(rows):
    plain, repeated, _ = rows(30, 32, 50)  # 2 of 60 clips: 3.3 points, p of McNemar 0.5
    (one,) = paired.family([paired.Pair("d", "w", plain, repeated)])
    assert one.outcome == "tie" and one.two_points
    table = paired.comparisons("c", "t", [one])
    row = dict(zip(table.header, table.rows[0], strict=True))
    assert row["difference"] == "+3.3" and row["outcome"] == "tie" and row["2 points"] == "disagrees: says different"
    assert row["test clips"] == "60" and row["audio"] == "rendered"


def test_a_difference_below_two_points_that_is_real_is_marked(shelf, cells):
    wanted = cells("augmentation")
    for one, right in zip(wanted, (980, 995), strict=False):  # 15 of 1000 clips: 1.5 points, all one way
        shelf.add(one, 0, np.arange(1000) < right)
    first, second, third = shelf.desk(wanted).of("augmentation")
    (one,) = paired.family([paired.Pair("d", "w", first, second)])
    assert one.outcome == "higher" and not one.two_points
    assert "disagrees: says equal" in paired.comparisons("c", "t", [one]).rows[0]
    (gone,) = paired.family([paired.Pair("d", "w", first, third)])
    assert gone.outcome == "missing" and gone.error == ""
    assert paired.comparisons("c", "t", [gone]).rows[0][2] == "missing"


def test_different_test_clips_are_an_error_not_a_number(shelf, cells):
    wanted = cells("augmentation")
    shelf.add(wanted[0], 0, np.ones(20, dtype=bool))
    shelf.add(wanted[1], 0, np.ones(18, dtype=bool))
    first, second, _ = shelf.desk(wanted).of("augmentation")
    (one,) = paired.family([paired.Pair("d", "w", first, second)])
    assert one.outcome == "error" and one.result is None and np.isnan(one.p)
    (told,) = paired.errors([one])
    assert told.startswith("d, w: ") and "tested on different clips: 2 of 20 only in the first" in told
    table = paired.comparisons("c", "t", [one])
    assert table.rows[0][2] == "no number: see errors"
    assert "difference" not in table.data[0]


def test_an_error_does_not_join_the_family(shelf, cells, rows):
    plain, repeated, augmented = rows(30, 50, 31)
    alone = paired.family([paired.Pair("d", "w", plain, repeated)])[0]
    other = cells("table3", "dataset=ballroom2")
    shelf.add(other[0], 0, np.ones(7, dtype=bool))
    stranger = shelf.desk(other).of("table3")[0]
    beside = paired.family([paired.Pair("d", "w", plain, stranger), paired.Pair("d", "w", plain, repeated)])
    assert [one.outcome for one in beside] == ["error", "higher"]
    assert beside[1].p == alone.p
    del augmented


def _grouped(shelf, cells, groups, seeds=1, **more):
    """Two cells of eight clips in each group; in the second half of each group's clips turn right."""
    wanted = cells("augmentation")
    names = [f"speaker {i // 8}" for i in range(8 * groups)]
    for one, right in zip(wanted, (0, 4), strict=False):
        for seed in range(seeds):
            shelf.add(one, seed, np.arange(8 * groups) % 8 < right, groups=names, **more)
    first, second, _ = shelf.desk(wanted).of("augmentation")
    (one,) = paired.family([paired.Pair("d", "w", first, second)])
    table = paired.comparisons("c", "t", [one])
    return one, dict(zip(table.header, table.rows[0], strict=True)), table.data[0]


@pytest.mark.parametrize(("groups", "said"), [(1, "1 group"), (2, "2 groups"), (5, "5 groups")])
def test_few_groups_give_no_verdict(shelf, cells, groups, said):
    """Of one speaker, half of the clips turned right: +50 points, but nothing is known of other speakers."""
    one, row, data = _grouped(shelf, cells, groups)
    assert one.outcome == "no verdict" and row["outcome"] == f"no verdict: {said}"
    assert row["difference"] == "+50.0" and row["p"] == row["McNemar p"] == row["2 points"] == "–"
    assert row["test clips"] == f"{8 * groups} in {said}"
    assert (row["95 % interval"] == "–") == (groups == 1)
    assert data["refusal"] == said and np.isnan(data["p"])


def test_six_groups_give_one(shelf, cells):
    one, row, _ = _grouped(shelf, cells, 6)
    assert one.outcome == "higher" and one.p == pytest.approx(2 / 64)
    assert row["McNemar p"] == "–", "it takes clips for independent"


def test_one_run_of_a_finetuned_network_gives_no_verdict(shelf, cells):
    one, row, _ = _grouped(shelf, cells, 6, tags={"transfer": "finetune"})
    assert one.outcome == "no verdict" and row["outcome"] == "no verdict: 1 run"


def test_several_runs_of_a_finetuned_network_give_one(shelf, cells):
    one, _, _ = _grouped(shelf, cells, 6, seeds=3, tags={"transfer": "finetune"})
    assert one.outcome == "higher"


def test_what_is_not_tested_does_not_join_the_family(shelf, cells, rows):
    plain, repeated, _ = rows(30, 50, 31)
    few = cells("table3", "dataset=ballroom2,ballroom7")
    for one in few:
        shelf.add(one, 0, np.ones(8, dtype=bool), groups=["one speaker"] * 8)
    first, second = shelf.desk(few).of("table3")
    alone = paired.family([paired.Pair("d", "w", plain, repeated)])[0]
    beside = paired.family([paired.Pair("d", "w", first, second), paired.Pair("d", "w", plain, repeated)])
    assert [one.outcome for one in beside] == ["no verdict", "higher"]
    assert beside[1].p == alone.p
