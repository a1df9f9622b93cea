import numpy as np
import pytest
from src.evaluation.bootstrap import accuracy_interval

from src.errors import UserError
from src.evaluation.intervals import wilson
from src.report.cell import Resampling, score
from src.report.predictions import read_predictions
from tests.report.conftest import predictions_csv

DRAWS = Resampling(500, 0)


def test_a_score_is_what_the_statistics_say_of_its_runs(shelf, cells):
    (one,) = cells("table2_network", "dataset=composer", "preprocess=normalized")
    rng = np.random.default_rng(1)
    correct = rng.random((5, 40)) < 0.8
    for seed, row in enumerate(correct):
        shelf.add(one, seed, row)
    found = score(shelf.desk([one]).cells[0], DRAWS)
    assert found.accuracy == pytest.approx(correct.mean())
    assert found.deviation == pytest.approx(correct.mean(axis=1).std(ddof=1))
    assert found.wilson == wilson(correct.sum() / 5, 40)
    expected = accuracy_interval(correct, DRAWS.rng(f"accuracy {one.name}"), draws=500)
    assert found.bootstrap == expected, "the stream is the cell's own, whatever else a report computes"
    # two classes of 20 clips: F1 of each from its hits and the other's misses
    f1 = []
    for row in correct:
        hits = [row[c::2].sum() for c in (0, 1)]
        said = [hits[0] + 20 - hits[1], hits[1] + 20 - hits[0]]
        f1.append(np.mean([2 * h / (20 + s) for h, s in zip(hits, said, strict=True)]))
    assert found.macro_f1 == pytest.approx(np.mean(f1))
    assert found.macro_f1_interval.low < found.macro_f1 < found.macro_f1_interval.high


def test_one_seed_has_no_deviation(shelf, cells):
    (one,) = cells("table2_network", "dataset=composer", "preprocess=normalized")
    shelf.add(one, 0, np.ones(10, dtype=bool))
    assert score(shelf.desk([one]).cells[0], DRAWS).deviation is None


def test_groups_widen_the_bootstrap(shelf, cells):
    """Ten groups of four clips, each all right or all wrong, are ten observations, not forty."""
    (one,) = cells("table2_network", "dataset=composer", "preprocess=normalized")
    (other,) = cells("table2_network", "dataset=composer", "preprocess=unprocessed")
    correct = np.repeat([True, False, True, True, False, True, True, True, False, True], 4)
    shelf.add(one, 0, correct, groups=[str(i // 4) for i in range(40)])
    shelf.add(other, 0, correct)
    grouped, single = (score(cell, DRAWS).bootstrap for cell in shelf.desk([one, other]).cells)
    # four times fewer units of the same spread: twice as wide, within what 500 draws can tell
    assert 1.6 < grouped.half_width / single.half_width < 2.4


def test_no_runs_no_score(shelf, cells):
    (one,) = cells("table2_network", "dataset=composer", "preprocess=normalized")
    with pytest.raises(UserError, match="no finished runs"):
        score(shelf.desk([one]).cells[0], DRAWS)


def test_predictions_are_read_back():
    text = predictions_csv(("a|b", 'c "d", e'), [True, False, True], groups=["x", "", "y"], rms=lambda i: 0.1 + i)
    found = read_predictions(text.encode(), "run")
    assert found.classes == ("a|b", 'c "d", e')
    assert [found.ids[i] for i in found.where("test")] == ["a|b/000.wav", 'c "d", e/001.wav', "a|b/002.wav"]
    assert [found.groups[i] for i in found.where("test")] == ["x", None, "y"]
    assert found.predicted[2] == "a|b" and found.labels[2] == 'c "d", e'
    assert found.rms[found.where("test")].tolist() == [0.1, 1.1, 2.1]
    assert found.of("a|b").tolist() == [0, 1, 4, 5]


def test_predictions_of_older_runs_have_no_loudness():
    found = read_predictions(b"clip,group,part,label,predicted,p_a\nx,,test,a,a,1\n", "run")
    assert np.isnan(found.rms).all() and np.isnan(found.duration).all()


@pytest.mark.parametrize(
    ("content", "told"), [(b"clip,part\nx,test\n", "lacks the columns group, label"), (b"", "lacks")]
)
def test_what_is_no_table_of_predictions_is_refused(content, told):
    with pytest.raises(UserError, match=told):
        read_predictions(content, "run")
    with pytest.raises(UserError, match="has no rows"):
        read_predictions(b"clip,group,part,label,predicted\n", "run")
