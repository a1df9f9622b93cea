import numpy as np
import pytest

from src.errors import UserError
from src.evaluation.intervals import accuracy_interval
from src.tracking import cell as cell_room
from src.tracking.cell import score
from src.tracking.predictions import read_predictions
from tests.report.conftest import predictions_csv


def test_a_score_is_what_the_statistics_say_of_its_runs(shelf, cells):
    (one,) = cells("table2_network", "dataset=composer", "preprocess=normalized")
    rng = np.random.default_rng(1)
    correct = rng.random((5, 40)) < 0.8
    groups = [str(i // 2) for i in range(40)]
    for seed, row in enumerate(correct):
        shelf.add(one, seed, row, groups=groups)
    found = score(shelf.desk([one]).cells[0])
    assert found.accuracy == pytest.approx(correct.mean())
    assert found.deviation == pytest.approx(correct.mean(axis=1).std(ddof=1))
    assert found.interval == accuracy_interval(correct, groups)
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
    assert score(shelf.desk([one]).cells[0]).deviation is None


def test_groups_are_the_sample(shelf, cells):
    """Ten groups of four clips, each all right or all wrong, are ten observations, not forty."""
    (one,) = cells("table2_network", "dataset=composer", "preprocess=normalized")
    groups = np.array([True, False, True, True, False, True, True, True, False, True])
    shelf.add(one, 0, np.repeat(groups, 4), groups=[str(i // 4) for i in range(40)])
    (cell,) = shelf.desk([one]).cells
    found, expected = score(cell).interval, accuracy_interval(groups[None])
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))
    assert str(cell.clusters) == "40 in 10 groups"


def test_more_than_the_head_was_trained(shelf, cells):
    first, second, _ = cells("table2_network", "dataset=composer")
    shelf.add(first, 0, np.ones(10, dtype=bool), tags={"transfer": "finetune"})
    shelf.add(second, 0, np.ones(10, dtype=bool), tags={"transfer": "frozen"})
    tuned, frozen = shelf.desk([first, second]).cells
    assert tuned.compared.finetuned and not frozen.compared.finetuned


def test_chance_is_what_the_largest_class_gives():
    tested = cell_room.Tested(
        ids=tuple("abcde"), groups=(None,) * 5, classes=("x", "y", "z"),
        targets=np.array([0, 1, 1, 1, 2]), predictions=np.zeros((1, 5), np.int64),
    )  # fmt: skip
    assert tested.chance == pytest.approx(3 / 5)
    assert tested.correct.tolist() == [[True, False, False, False, False]]


def test_no_runs_no_score(shelf, cells):
    (one,) = cells("table2_network", "dataset=composer", "preprocess=normalized")
    with pytest.raises(UserError, match="no finished runs"):
        score(shelf.desk([one]).cells[0])


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
