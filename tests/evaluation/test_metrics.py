import numpy as np
import pytest
from sklearn.metrics import confusion_matrix as sk_confusion
from sklearn.metrics import f1_score, recall_score

from src.errors import UserError
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
