"""Labels to look at: clips whose class a classifier of all other clips finds least probable."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log

import numpy as np

from src.prepare.audit.measurement import Measured

COUNT = 10
_FOLDS = 5
_SMALLEST = 1e-6


@dataclass(frozen=True)
class Suspect:
    """A clip whose label may be wrong.

    Attributes:
        label: as it is. likely: the class that is most probable instead.
        loss: negative logarithm of the label's probability, in nats, by a classifier that did not see the clip; always
            naming each class alike would lose log(classes).
    """

    clip: str
    label: str
    likely: str
    loss: float


def suspects(measured: Sequence[Measured]) -> tuple[Suspect, ...]:
    """The ten clips of the largest cross-validated loss among those that another class explains better.

    Randomised trees of mean spectrum and its course over time; they hear less than a network does, and need none.

    Returns:
        None of them where a class has fewer clips than there are folds.
    """
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    labels = np.array([one.clip.label for one in measured])
    counts = Counter(labels.tolist())
    if len(counts) < 2 or min(counts.values()) < _FOLDS:
        return ()
    features = np.array(
        [
            [*one.fingerprint.spectrum, *one.fingerprint.course.mean(axis=1), *one.fingerprint.course.std(axis=1)]
            for one in measured
        ]
    )
    classes = np.unique(labels)
    # clips of one group may be on both sides: what is like a clip is to say what it is, not how well others are known
    folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
    forest = ExtraTreesClassifier(200, class_weight="balanced", random_state=0)
    rows = cross_val_predict(forest, features, labels, cv=folds, method="predict_proba")
    found = []
    for one, row in zip(measured, rows, strict=True):
        label, likely = one.clip.label, str(classes[int(row.argmax())])
        if label != likely:
            probability = max(float(row[int(np.searchsorted(classes, label))]), _SMALLEST)
            found.append(Suspect(one.clip.id, label, likely, -log(probability)))
    return tuple(sorted(found, key=lambda suspect: (-suspect.loss, suspect.clip))[:COUNT])
