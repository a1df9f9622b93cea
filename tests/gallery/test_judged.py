import numpy as np
import pytest
from hand import hand

from src.errors import UserError
from src.gallery.judged import judged
from src.tracking.predictions import read_predictions
from src.tracking.store import RunRecord


def test_the_matrix_counts_clips_as_a_mean_over_seeds():
    expected = [[1, 1, 0], [0, 4 / 3, 2 / 3], [2 / 3, 1 / 3, 1]]
    np.testing.assert_allclose(hand().confusion(), expected)


def test_clips_worth_a_look():
    found = hand()
    assert found.always_wrong() == [1, 4]
    assert found.disputed() == [3, 4]
    # wrong for most seeds, by the mean probability of the likeliest wrong class: 0.8, then 0.57 and 0.58
    assert found.confidently_wrong() == [1, 4, 3]
    assert found.mistaken[1] == pytest.approx(0.8)
    assert found.mistaken[3] == pytest.approx((0.1 + 0.8 + 0.8) / 3)


def test_a_clip_stands_in_every_cell_that_a_seed_put_it_into():
    found = hand()
    assert found.in_cell(1, 2) == [3]
    assert found.in_cell(1, 1) == [3, 2]  # of those got right the least sure first
    assert found.in_cell(2, 0) == found.in_cell(2, 1) == [4]
    assert found.in_cell(0, 2) == []


def test_one_seed_has_no_disputes():
    found = hand()
    one = hand(seeds=(0,), said=found.said[:1], probabilities=found.probabilities[:1])
    assert one.disputed() == []
    assert one.always_wrong() == [1, 4]


def predictions(rows: str, header: str = "p_a,p_b"):
    text = f"clip,group,part,label,predicted,duration,rms,{header}\n{rows}"
    return read_predictions(text.encode(), "r")


def record(accuracy: float, seed: int = 0) -> RunRecord:
    return RunRecord("1" * 32, "r", "FINISHED", 0.0, 1.0, {"seed": str(seed)}, {}, {"test/accuracy": accuracy}, "")


def test_seeds_are_joined_clip_by_clip():
    first = predictions("x,,test,a,a,1.5,0.1,0.9,0.1\ny,g,test,b,a,2.5,0.1,0.7,0.3\nz,,train,a,a,1,0.1,1.0,0.0\n")
    second = predictions("y,g,test,b,b,2.5,0.1,0.2,0.8\nx,,test,a,a,1.5,0.1,0.6,0.4\n")
    found = judged([record(0.5), record(1.0, 3)], [first, second])
    assert found.ids == ("x", "y")
    assert found.seeds == (0, 3)
    assert found.seconds.tolist() == [1.5, 2.5]
    np.testing.assert_allclose(found.probabilities[:, 0], [[0.9, 0.1], [0.6, 0.4]])
    np.testing.assert_allclose(found.probabilities[:, 1], [[0.7, 0.3], [0.2, 0.8]])
    assert found.said.tolist() == [[0, 0], [0, 1]]


def test_runs_of_different_clips_are_refused():
    first = predictions("x,,test,a,a,1.5,0.1,0.9,0.1\n")
    second = predictions("y,,test,a,a,1.5,0.1,0.9,0.1\n")
    with pytest.raises(UserError, match="tested on different clips"):
        judged([record(1.0), record(1.0, 1)], [first, second])
