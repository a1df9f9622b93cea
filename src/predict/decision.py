"""From probabilities to labels: calibration, `unknown`, sets of labels, and windows of one label joined."""

from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np

from src.evaluation.confidence import calibrated, prediction_set
from src.predict.windows import Prediction, Scored

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Decision:
    """How labels follow from probabilities.

    Attributes:
        classes: in the order of the probabilities.
        threshold: below this highest probability the label is `unknown`.
        farthest: beyond this distance to the training clips it is too; None: distances are not looked at.
        temperature: of the calibration; 1: probabilities stay as the head gives them.
        quantile: of conformal prediction; None: no sets of labels are given.
        merge: whether successive windows of one label are joined.
    """

    classes: tuple[str, ...]
    threshold: float = 0.0
    temperature: float = 1.0
    quantile: float | None = None
    merge: bool = False
    farthest: float | None = None

    def label(self, window: Scored) -> str:
        """The most probable class, or `unknown`."""
        best = int(window.probabilities.argmax())
        far = self.farthest is not None and window.distance is not None and window.distance > self.farthest
        return UNKNOWN if far or window.probabilities[best] < self.threshold else self.classes[best]

    def label_set(self, window: Scored) -> list[str]:
        """The conformal set, the most probable class first; empty where nothing is likely enough."""
        if self.quantile is None:
            return []
        return [self.classes[i] for i in prediction_set(window.probabilities, self.quantile)]

    def calibrate(self, prediction: Prediction) -> Prediction:
        """The prediction with calibrated probabilities; with temperature 1 the same to the bit."""
        if self.temperature == 1:
            return prediction
        rows = calibrated(np.stack([w.probabilities for w in prediction.windows]), self.temperature).astype(np.float32)
        windows = [replace(w, probabilities=row) for w, row in zip(prediction.windows, rows, strict=True)]
        return replace(prediction, windows=tuple(windows))

    def segments(self, prediction: Prediction) -> tuple[Scored, ...]:
        """The windows; with `merge`, those of one label that follow each other as one, with the mean of their rows."""
        if not self.merge:
            return prediction.windows
        groups = (tuple(windows) for _, windows in groupby(prediction.windows, key=self.label))
        return tuple(Prediction(prediction.path, windows).overall for windows in groups)
