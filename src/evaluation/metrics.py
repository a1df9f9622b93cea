"""How right the predictions of one run are, from true and predicted classes given as indices 0..classes-1."""

import numpy as np
from jaxtyping import Float64, Int64, Integer

from src.errors import UserError


def validate(targets: Integer[np.ndarray, " clips"], predictions: Integer[np.ndarray, " clips"], classes: int) -> None:
    """Refuse what cannot be scored.

    Raises:
        UserError: there are no test clips.
        ValueError: a class index lies outside 0..classes-1 (labels of another dataset?).
    """
    if targets.size == 0:
        raise UserError(
            "scoring: got 0 test clips; expected at least 1. Add clips, or choose a split with a test part."
        )
    for which, indices in (("true", targets), ("predicted", predictions)):
        if indices.min() < 0 or indices.max() >= classes:
            raise ValueError(
                f"{which} classes run from {indices.min()} to {indices.max()}; expected 0 to {classes - 1}. "
                "Do they come from a dataset with other classes?"
            )


def confusion_matrix(
    targets: Integer[np.ndarray, " clips"], predictions: Integer[np.ndarray, " clips"], classes: int
) -> Int64[np.ndarray, "classes classes"]:
    """Count clips by true class (row) and predicted class (column)."""
    validate(targets, predictions, classes)
    cells = targets.astype(np.int64) * classes + predictions
    return np.bincount(cells, minlength=classes * classes).astype(np.int64).reshape(classes, classes)


def accuracy(confusion: Int64[np.ndarray, "classes classes"]) -> float:
    """Share of all clips on the diagonal, in 0..1."""
    return float(np.trace(confusion) / confusion.sum())


def class_recall(confusion: Int64[np.ndarray, "classes classes"]) -> Float64[np.ndarray, " classes"]:
    """Share of each class's clips that were recognised; nan for a class without test clips."""
    clips = confusion.sum(axis=1)
    recall = np.full(len(confusion), np.nan)
    np.divide(confusion.diagonal(), clips, out=recall, where=clips > 0)
    return recall


def macro_f1(confusion: Int64[np.ndarray, "classes classes"]) -> float:
    """Mean over classes of F1 = 2 TP / (true + predicted), in 0..1.

    A class that is neither true nor predicted for any clip is left out; one that is only predicted scores 0
    (scikit-learn's default as well).
    """
    marginals = confusion.sum(axis=0) + confusion.sum(axis=1)
    seen = marginals > 0
    return float(np.mean(2 * confusion.diagonal()[seen] / marginals[seen]))
