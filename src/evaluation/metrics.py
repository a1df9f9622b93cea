"""How right the predictions of one run are, from true and predicted classes given as indices 0..classes-1."""

import numpy as np
from jaxtyping import Float32, Float64, Int64, Integer

from src.errors import UserError

_CALIBRATION_BINS = 15


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


def class_precision(confusion: Int64[np.ndarray, "classes classes"]) -> Float64[np.ndarray, " classes"]:
    """Share of the clips taken for each class that are of it; nan for a class that no clip was taken for."""
    return class_recall(confusion.T)


def class_f1(confusion: Int64[np.ndarray, "classes classes"]) -> Float64[np.ndarray, " classes"]:
    """F1 = 2 TP / (true + predicted) of each class; nan where it is neither."""
    marginals = (confusion.sum(axis=0) + confusion.sum(axis=1)).astype(np.float64)
    f1 = np.full(len(confusion), np.nan)
    np.divide(2 * confusion.diagonal(), marginals, out=f1, where=marginals > 0)
    return f1


def balanced_accuracy(confusion: Int64[np.ndarray, "classes classes"]) -> float:
    """Mean recall of the classes that have test clips, in 0..1."""
    return float(np.nanmean(class_recall(confusion)))


def majority(confusion: Int64[np.ndarray, "classes classes"]) -> float:
    """Accuracy of always saying the class that most test clips have, in 0..1."""
    return float(confusion.sum(axis=1).max() / confusion.sum())


def probability_metrics(
    targets: Integer[np.ndarray, " clips"], probabilities: Float32[np.ndarray, "clips classes"]
) -> dict[str, float]:
    """How good the probabilities are: `auroc`, `average_precision`, `log_loss`, `ece`.

    The first two are macro averages, one class against the rest, over classes with test clips (not all of them).
    Average precision is the step-wise sum over recalls. `log_loss` is in nats. `ece` is the expected calibration error
    over 15 equal bins of the largest probability (Guo et al. 2017, equation 5).
    """
    from sklearn.metrics import average_precision_score, roc_auc_score  # here: half a second to import

    rows = np.arange(len(targets))
    counts = np.bincount(targets, minlength=probabilities.shape[1])
    seen = np.flatnonzero((counts > 0) & (counts < len(targets)))
    is_class = targets[:, None] == seen
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    bins = np.minimum((confidence * _CALIBRATION_BINS).astype(np.int64), _CALIBRATION_BINS - 1)
    gaps = np.bincount(bins, weights=right - confidence.astype(np.float64), minlength=_CALIBRATION_BINS)
    smallest = np.finfo(np.float32).eps
    found = {
        "log_loss": float(-np.log(np.maximum(probabilities[rows, targets].astype(np.float64), smallest)).mean()),
        "ece": float(np.abs(gaps).sum() / len(targets)),
    }
    if seen.size:
        found["auroc"] = float(roc_auc_score(is_class, probabilities[:, seen], average="macro"))
        found["average_precision"] = float(average_precision_score(is_class, probabilities[:, seen], average="macro"))
    return found


def macro_f1(confusion: Int64[np.ndarray, "classes classes"]) -> float:
    """Mean over classes of F1 = 2 TP / (true + predicted), in 0..1.

    A class that is neither true nor predicted for any clip is left out; one that is only predicted scores 0
    (scikit-learn's default as well).
    """
    return float(np.nanmean(class_f1(confusion)))
