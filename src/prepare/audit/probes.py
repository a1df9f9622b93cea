"""How far a classifier gets that hears nothing: from loudness, length and file format alone.

Each probe is a random forest: it needs no scaling, handles codecs beside seconds, and finds a class that lies between
two others in loudness, which a linear rule cannot. It learns from the training part and answers for the test part, like
the classifier that it warns about; what it gets right, that classifier may have got right for the same reason.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from math import log10

import numpy as np
from jaxtyping import Bool, Float64, Int64

from src.data.parts import Part
from src.evaluation.intervals import Interval, accuracy_interval
from src.prepare.audit.census import normalized_rms
from src.prepare.audit.measurement import Measured

# Leaves of three clips and more: single odd files are not learnt by heart. Seeded, hence the same each time.
_FOREST = {"n_estimators": 100, "min_samples_leaf": 3, "random_state": 0, "n_jobs": 1}
_QUIETEST = 1e-6  # stands for silence, -120 dB


@dataclass(frozen=True)
class Probe:
    """What one kind of knowledge about the files is worth.

    Attributes:
        name: e.g. `duration`. inputs: what it knows of a clip.
        correct: test clips it got right, of `clips`.
        interval: 95 % interval of its accuracy, over clips, or over their groups; None where all are of one group.
            Copies within the test part make it too narrow.
        chance: accuracy of the best constant answer, the share of the most frequent class among the test clips.
    """

    name: str
    inputs: tuple[str, ...]
    correct: int
    clips: int
    interval: Interval | None
    chance: float

    @property
    def accuracy(self) -> float:
        """Share of the test clips it got right, 0..1."""
        return self.correct / self.clips

    @property
    def warns(self) -> bool:
        """Whether it beats the best constant answer beyond doubt: the whole interval lies above chance."""
        return self.interval is not None and self.interval.low > self.chance


Column = Callable[[Measured], float | str]

_LOUDNESS: dict[str, Column] = {
    "RMS": lambda one: _decibels(one.facts.rms),
    "peak": lambda one: _decibels(one.facts.peak),
}
_CREST: dict[str, Column] = {"RMS relative to the peak": lambda one: _decibels(normalized_rms(one.facts))}
_DURATION: dict[str, Column] = {"seconds": lambda one: one.facts.duration}
_FORMAT: dict[str, Column] = {
    "sample rate": lambda one: float(one.facts.sample_rate),
    "channels": lambda one: float(one.facts.channels),
    "codec": lambda one: one.facts.codec,
    # Of the whole file: tags and headers weigh more in a short one, so that it may tell the duration too.
    "bit rate": lambda one: one.bit_rate,
}
PROBES: dict[str, dict[str, Column]] = {
    "loudness": _LOUDNESS,
    "loudness, normalized": _CREST,
    "duration": _DURATION,
    "file format": _FORMAT,
    "all together": {**_LOUDNESS, **_CREST, **_DURATION, **_FORMAT},
}


def probe_all(measured: Sequence[Measured], parts: Sequence[Part]) -> tuple[Probe, ...]:
    """Every probe on this split; none where it leaves no test clips, or training clips of one class only.

    Args:
        measured: usable clips. parts: part of each.
    """
    train = np.array([i for i, part in enumerate(parts) if part == "train"], dtype=np.int64)
    test = np.array([i for i, part in enumerate(parts) if part == "test"], dtype=np.int64)
    labels = np.array([one.clip.label for one in measured])
    if not len(test) or len(set(labels[train])) < 2:
        return ()
    chance = max(Counter(labels[test].tolist()).values()) / len(test)
    groups, probes = [measured[i].clip.group for i in test], []
    for name, columns in PROBES.items():
        correct = _correct(_matrix(measured, columns), labels, train, test)
        interval = accuracy_interval(correct[None], groups)
        probes.append(Probe(name, tuple(columns), int(np.count_nonzero(correct)), len(test), interval, chance))
    return tuple(probes)


def _correct(
    features: Float64[np.ndarray, "clips features"],
    labels: np.ndarray,
    train: Int64[np.ndarray, " train"],
    test: Int64[np.ndarray, " test"],
) -> Bool[np.ndarray, " test"]:
    forest = import_module("sklearn.ensemble").RandomForestClassifier(**_FOREST)
    forest.fit(features[train], labels[train])
    right: np.ndarray = forest.predict(features[test]) == labels[test]
    return right


def _matrix(measured: Sequence[Measured], columns: Mapping[str, Column]) -> Float64[np.ndarray, "clips features"]:
    """One row per clip; a column of words becomes one column of 0 and 1 for each."""
    features: list[list[float]] = []
    for column in columns.values():
        values = [column(one) for one in measured]
        words = sorted({value for value in values if isinstance(value, str)})
        if words:
            features += [[float(value == word) for value in values] for word in words]
        else:
            features.append([float(value) for value in values])
    return np.array(features, dtype=np.float64).T


def _decibels(amplitude: float) -> float:
    return 20 * log10(max(amplitude, _QUIETEST))
