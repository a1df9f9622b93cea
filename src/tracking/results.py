"""What a run holds of its result: metrics, and artifacts that a person or a later program can read."""

import csv
import io
import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import yaml
from jaxtyping import Bool, Float32, Float64, Int64

from src.evaluation import metrics
from src.evaluation.intervals import Clusters
from src.features.cache import digest_of
from src.features.labelled import LabelledFeatures
from src.head import FittedHead
from src.tracking.figures import confusion_table, draw_confusion
from src.tracking.model_card import CARD, ModelCard
from src.tracking.store import Run

log = logging.getLogger(__name__)

PREDICTIONS = "predictions.csv"
WINDOWS = "windows.csv"
CORRECT = "correct.json"


@dataclass(frozen=True)
class CorrectClips:
    """Which test clips a run got right, short enough to be kept with each job of a sweep.

    Attributes:
        digest: of the clips' names and groups; runs with the same one were tested on the same clips in the same order.
        groups: number of each clip's group. correct: `1` for each clip that was right, `0` for each other.
        majority: share of the clips that are of the largest class, 0..1; None: not known.
    """

    digest: str
    groups: list[int]
    correct: str
    majority: float | None = None

    @classmethod
    def of(
        cls,
        ids: Sequence[str],
        groups: Sequence[str | None],
        correct: Bool[np.ndarray, " clips"],
        majority: float | None = None,
    ) -> "CorrectClips":
        """Of clips by name, with their groups (None where unknown)."""
        digest, numbers = digest_of({"clips": list(ids), "groups": list(groups)}), Clusters.of(groups, len(ids)).group
        return cls(digest, numbers.tolist(), "".join("01"[int(right)] for right in correct), majority)

    @property
    def accuracy(self) -> float:
        """Share of the clips that were right, 0..1."""
        return self.correct.count("1") / len(self.correct)


@dataclass(frozen=True, eq=False)
class CrossValidated:
    """What was said of each clip by the head that was not fitted to it.

    Attributes:
        folds: name of the fold that each clip was tested in.
    """

    probabilities: Float32[np.ndarray, "clips classes"]
    folds: list[str]


@dataclass(frozen=True, eq=False)
class Scored:
    """What the head says of each clip; of a clip that was cut into windows, of all its windows together.

    Attributes:
        folds: which fold each clip tested in; None: there are none. labels: position of each clip's class.
        duration: seconds, of windows the sum. rms: as recorded.
    """

    ids: list[str]
    groups: list[str | None]
    parts: list[str]
    folds: list[str] | None
    labels: Int64[np.ndarray, " clips"]
    duration: Float64[np.ndarray, " clips"]
    rms: Float64[np.ndarray, " clips"]
    probabilities: Float32[np.ndarray, "clips classes"]

    @classmethod
    def of(
        cls,
        material: LabelledFeatures,
        probabilities: Float32[np.ndarray, "clips classes"],
        folds: Sequence[str] | None = None,
    ) -> "Scored":
        """Every clip, or every window, as it was listed."""
        clips, facts = material.dataset.clips, material.extraction.facts
        return cls(
            [clip.id for clip in clips],
            [clip.group for clip in clips],
            list(material.parts),
            None if folds is None else list(folds),
            material.labels,
            np.array([fact.duration for fact in facts]),
            np.array([fact.rms for fact in facts]),
            probabilities,
        )

    def pooled(self, window_of: Sequence[str | None]) -> "Scored":
        """Windows of one clip as one row: the mean of their log probabilities, normalised.

        Args:
            window_of: id of the clip that each row is a window of; None: it is none.
        """
        owners = [owner or own for owner, own in zip(window_of, self.ids, strict=True)]
        number = {owner: i for i, owner in enumerate(dict.fromkeys(owners))}
        of = np.array([number[owner] for owner in owners])
        first = np.unique(of, return_index=True)[1]
        counts = np.bincount(of)
        logs = np.zeros((len(number), self.probabilities.shape[1]))
        np.add.at(logs, of, np.log(np.maximum(self.probabilities.astype(np.float64), np.finfo(np.float32).tiny)))
        mean = np.exp(logs / counts[:, None])
        # a single window keeps its bits
        mean = np.where(counts[:, None] == 1, self.probabilities[first], mean / mean.sum(axis=1, keepdims=True))
        return Scored(
            list(number),
            [
                None if self.groups[i] == owner.rpartition(".")[0] else self.groups[i]
                for owner, i in zip(number, first, strict=True)
            ],
            [self.parts[i] for i in first],
            None if self.folds is None else [self.folds[i] for i in first],
            self.labels[first],
            np.bincount(of, weights=self.duration),
            np.sqrt(
                np.bincount(of, weights=np.square(self.rms) * self.duration) / np.bincount(of, weights=self.duration)
            ),
            mean.astype(np.float32),
        )

    @property
    def predicted(self) -> Int64[np.ndarray, " clips"]:
        """Position of the most probable class of each."""
        best: np.ndarray = self.probabilities.argmax(axis=1)
        return best

    def where(self, part: str) -> Int64[np.ndarray, " chosen"]:
        """Positions of one part's clips."""
        return np.array([i for i, p in enumerate(self.parts) if p == part], dtype=np.int64)

    def accuracy(self, rows: Int64[np.ndarray, " chosen"]) -> float:
        """Share of some clips that were right, 0..1."""
        return float(np.mean(self.predicted[rows] == self.labels[rows]))


def log_results(
    run: Run,
    material: LabelledFeatures,
    head: FittedHead,
    seconds: Mapping[str, float],
    settings: Mapping[str, Any],
    card: ModelCard,
    crossed: CrossValidated | None = None,
) -> CorrectClips:
    """Test the head and store everything; which test clips were right is returned.

    Args:
        seconds: per stage. settings: the resolved configuration. card: what it takes to use the model again.
        crossed: what the heads of all folds said of the clips that they were tested on; None: the head is tested.
    """
    classes = material.dataset.classes
    every = Scored.of(
        material,
        head.predict_proba(material.extraction.features) if crossed is None else crossed.probabilities,
        None if crossed is None else crossed.folds,
    )
    window_of = [clip.window_of for clip in material.dataset.clips]
    has_windows = any(owner is not None for owner in window_of)
    scored = every.pooled(window_of) if has_windows else every
    tested = scored.where("test")
    predicted, targets = scored.predicted[tested], scored.labels[tested]
    confusion = metrics.confusion_matrix(targets, predicted, len(classes))
    majority = metrics.majority(confusion)
    correct = CorrectClips.of(
        [scored.ids[i] for i in tested], [scored.groups[i] for i in tested], predicted == targets, majority
    )
    run.log(
        metrics={
            "test/accuracy": correct.accuracy,
            "test/macro_f1": metrics.macro_f1(confusion),
            "test/balanced_accuracy": metrics.balanced_accuracy(confusion),
            "test/majority": majority,
            **{
                f"test/{name}": value
                for name, value in metrics.probability_metrics(targets, scored.probabilities[tested]).items()
            },
            **_by_class("recall", metrics.class_recall(confusion), classes),
            **_by_class("precision", metrics.class_precision(confusion), classes),
            **_by_class("f1", metrics.class_f1(confusion), classes),
            **{f"seconds/{stage}": value for stage, value in seconds.items()},
            **material.counts(),
            **_window_metrics(every, scored, has_windows),
            **({"train/accuracy": every.accuracy(every.where("train"))} if crossed is None else _fold_metrics(scored)),
        }
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.yaml").write_text(yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True), "utf8")
        (folder / CARD).write_text(card.text(), "utf8")
        (folder / PREDICTIONS).write_text(predictions(scored, classes), "utf8")
        if has_windows:
            (folder / WINDOWS).write_text(predictions(every, classes), "utf8")
        (folder / CORRECT).write_text(json.dumps(asdict(correct)), "utf8")
        (folder / "confusion.csv").write_text(confusion_table(confusion, classes), "utf8")
        head_card = {"kind": head.kind, "classes": list(classes), "warnings": list(head.warnings)}
        (folder / "head.json").write_text(json.dumps(head_card, indent=1, ensure_ascii=False), "utf8")
        tensors = {key: np.ascontiguousarray(value) for key, value in head.tensors().items()}
        (folder / "head.safetensors").write_bytes(safetensors.numpy.save(tensors))
        notes = dict(material.notes)
        try:
            draw_confusion(confusion, classes, folder / "confusion.png")
        except Exception as error:  # a picture is not worth a run; its numbers are in confusion.csv
            (folder / "confusion.png").unlink(missing_ok=True)
            notes["pictures"] = [f"confusion.png could not be drawn ({type(error).__name__}: {error})"]
            log.warning("%s", notes["pictures"][0])
        (folder / "notes.json").write_text(json.dumps(notes, indent=1, ensure_ascii=False), "utf8")
        run.artifacts(folder)
    return correct


def _by_class(metric: str, values: Float64[np.ndarray, " classes"], classes: Sequence[str]) -> dict[str, float]:
    """One metric a class, where it has a value."""
    return {f"test/{metric}/{name}": v for name, v in zip(classes, values.tolist(), strict=True) if not np.isnan(v)}


def _window_metrics(every: Scored, scored: Scored, has_windows: bool) -> dict[str, float]:
    """Accuracy of single windows, and how many clips and windows there are; the clip is the unit of all else."""
    if not has_windows:
        return {}
    counts = {f"clips/{part}": float(len(scored.where(part))) for part in ("train", "validation", "test")}
    windows = {f"windows/{part}": float(len(every.where(part))) for part in ("train", "validation", "test")}
    return {**counts, **windows, "test/window_accuracy": every.accuracy(every.where("test"))}


def _fold_metrics(scored: Scored) -> dict[str, float]:
    """Accuracy of each fold, and their standard deviation."""
    folds = np.array(scored.folds)
    found = {str(fold): scored.accuracy(np.flatnonzero(folds == fold)) for fold in dict.fromkeys(scored.folds or ())}
    return {
        **{f"test/fold/{name}": value for name, value in found.items()},
        "test/fold_deviation": float(np.std(list(found.values()), ddof=1)),
    }


def predictions(scored: Scored, classes: Sequence[str]) -> str:
    """CSV of every clip: clip, group, part, label, predicted, duration (s), rms as recorded, p_<class> of each.

    Where each fold tested in turn, a column `fold` says in which one a clip did.
    """
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    fold = [] if scored.folds is None else ["fold"]
    names = [f"p_{name}" for name in classes]
    table.writerow(["clip", "group", "part", "label", "predicted", "duration", "rms", *fold, *names])
    for i, (row, said) in enumerate(zip(scored.probabilities, scored.predicted, strict=True)):
        # repr of a float32 is the shortest text that reads back as the same bits.
        values = [str(value) for value in row]
        known = [scored.ids[i], scored.groups[i] or "", scored.parts[i], classes[scored.labels[i]], classes[said]]
        measured = [f"{scored.duration[i]:.3f}", f"{scored.rms[i]:.6f}"]
        table.writerow([*known, *measured, *([] if scored.folds is None else [scored.folds[i]]), *values])
    return text.getvalue()
