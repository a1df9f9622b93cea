import numpy as np
import pytest
from sklearn.metrics import confusion_matrix as sk_confusion
from sklearn.metrics import f1_score, recall_score

from src.errors import UserError
from src.evaluation import metrics
from src.evaluation.metrics import accuracy, class_recall, confusion_matrix, macro_f1


def test_worked_example() -> None:
    targets = np.array([0, 0, 0, 1, 1, 2])
    predictions = np.array([0, 0, 1, 1, 1, 0])
    confusion = confusion_matrix(targets, predictions, 3)
    np.testing.assert_array_equal(confusion, [[2, 1, 0], [0, 2, 0], [1, 0, 0]])
    assert accuracy(confusion) == 4 / 6
    np.testing.assert_array_equal(class_recall(confusion), [2 / 3, 1, 0])
    # F1: class 0 has TP 2, true 3, predicted 3; class 1 TP 2, 2, 3; class 2 none: mean of 2/3, 4/5, 0
    assert macro_f1(confusion) == pytest.approx((2 / 3 + 4 / 5 + 0) / 3, rel=1e-15)


@pytest.mark.parametrize("seed", range(5))
def test_agrees_with_scikit_learn(seed: int) -> None:
    rng = np.random.default_rng(seed)
    targets, predictions = rng.integers(0, 7, (2, 40))
    confusion = confusion_matrix(targets, predictions, 7)
    np.testing.assert_array_equal(confusion, sk_confusion(targets, predictions, labels=range(7)))
    # the same sums in another order: a few units in the last place
    assert macro_f1(confusion) == pytest.approx(f1_score(targets, predictions, average="macro"), rel=1e-14)
    np.testing.assert_allclose(
        class_recall(confusion), recall_score(targets, predictions, average=None, labels=range(7)), rtol=1e-14
    )


def test_class_without_test_clips_has_no_recall_and_does_not_count_in_f1() -> None:
    confusion = confusion_matrix(np.array([0, 1]), np.array([0, 1]), 3)
    np.testing.assert_array_equal(class_recall(confusion), [1, 1, np.nan])
    assert macro_f1(confusion) == 1
    wrongly_predicted = confusion_matrix(np.array([0, 1]), np.array([0, 2]), 3)
    assert macro_f1(wrongly_predicted) == pytest.approx(1 / 3)  # 1, 0 and 0


def test_small_integer_types_do_not_wrap() -> None:
    confusion = confusion_matrix(np.array([12], np.int8), np.array([12], np.int8), 13)  # 12 * 13 + 12 > 127
    assert confusion[12, 12] == 1


def test_no_clips_is_said() -> None:
    nothing = np.array([], dtype=np.int64)
    with pytest.raises(UserError, match=r"got 0 test clips; expected at least 1"):
        confusion_matrix(nothing, nothing, 2)


def test_foreign_classes_are_said() -> None:
    with pytest.raises(ValueError, match=r"predicted classes run from 1 to 5; expected 0 to 2"):
        confusion_matrix(np.array([0, 1]), np.array([1, 5]), 3)


def test_probabilities_are_scored_as_scikit_learn_and_by_hand():
    """Four clips of classes 0, 0, 1, 1 of three; bins of a fifteenth: 0.9 and 0.6 right, 0.8 and 0.5 wrong."""
    targets = np.array([0, 0, 1, 1])
    probabilities = np.array([[0.9, 0.1, 0], [0.1, 0.8, 0.1], [0.4, 0.6, 0], [0.5, 0.3, 0.2]], np.float32)
    found = metrics.probability_metrics(targets, probabilities)
    assert found["log_loss"] == pytest.approx(-np.log([0.9, 0.1, 0.6, 0.3]).mean(), rel=1e-6)  # float32
    assert found["ece"] == pytest.approx((0.1 + 0.8 + 0.4 + 0.5) / 4, rel=1e-6)
    # class 0: pairs of (0.9, 0.1) against (0.4, 0.5): 2 of 4 ordered; class 1: (0.6, 0.3) against (0.1, 0.8): 2 of 4
    assert found["auroc"] == pytest.approx(0.5)
    # class 0, by falling score: hit, miss, miss, hit: (1 + 2/4) / 2; class 1: miss, hit, hit, miss: (1/2 + 2/3) / 2
    assert found["average_precision"] == pytest.approx((0.75 + 7 / 12) / 2)
    assert "auroc" not in metrics.probability_metrics(np.array([1, 1]), probabilities[:2]), "one class alone"


def test_each_class_and_the_largest():
    confusion = metrics.confusion_matrix(np.array([0, 0, 0, 1]), np.array([0, 0, 1, 1]), 3)
    assert metrics.majority(confusion) == 0.75
    assert metrics.balanced_accuracy(confusion) == pytest.approx((2 / 3 + 1) / 2)
    assert metrics.class_precision(confusion)[:2].tolist() == [1, 0.5]
    assert np.isnan(metrics.class_precision(confusion)[2])
    assert metrics.class_f1(confusion)[:2] == pytest.approx([0.8, 2 / 3])
