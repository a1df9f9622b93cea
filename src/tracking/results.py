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
from jaxtyping import Bool, Float32

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
CORRECT = "correct.json"


@dataclass(frozen=True)
class CorrectClips:
    """Which test clips a run got right, short enough to be kept with each job of a sweep.

    Attributes:
        digest: of the clips' names and groups; runs with the same one were tested on the same clips in the same order.
        groups: number of each clip's group. correct: `1` for each clip that was right, `0` for each other.
    """

    digest: str
    groups: list[int]
    correct: str

    @classmethod
    def of(
        cls, ids: Sequence[str], groups: Sequence[str | None], correct: Bool[np.ndarray, " clips"]
    ) -> "CorrectClips":
        """Of clips by name, with their groups (None where unknown)."""
        digest = digest_of({"clips": list(ids), "groups": list(groups)})
        return cls(digest, Clusters.of(groups, len(ids)).group.tolist(), "".join("01"[int(right)] for right in correct))

    @property
    def accuracy(self) -> float:
        """Share of the clips that were right, 0..1."""
        return self.correct.count("1") / len(self.correct)


def log_results(
    run: Run,
    material: LabelledFeatures,
    head: FittedHead,
    seconds: Mapping[str, float],
    settings: Mapping[str, Any],
    card: ModelCard,
) -> CorrectClips:
    """Test the head and store everything; which test clips were right is returned.

    Args:
        seconds: per stage. settings: the resolved configuration. card: what it takes to use the model again.
    """
    probabilities = head.predict_proba(material.extraction.features)
    classes, tested = material.dataset.classes, material.where("test")
    predicted, clips = probabilities.argmax(axis=1)[tested], [material.dataset.clips[i] for i in tested]
    confusion = metrics.confusion_matrix(material.labels[tested], predicted, len(classes))
    right = predicted == material.labels[tested]
    correct = CorrectClips.of([clip.id for clip in clips], [clip.group for clip in clips], right)
    recall = metrics.class_recall(confusion)
    run.log(
        metrics={
            "test/accuracy": correct.accuracy,
            "test/macro_f1": metrics.macro_f1(confusion),
            **{f"test/recall/{name}": r for name, r in zip(classes, recall, strict=True) if not np.isnan(r)},
            **{f"seconds/{stage}": value for stage, value in seconds.items()},
            **material.counts(),
        }
    )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "config.yaml").write_text(yaml.safe_dump(dict(settings), sort_keys=False, allow_unicode=True), "utf8")
        (folder / CARD).write_text(card.text(), "utf8")
        (folder / PREDICTIONS).write_text(predictions(material, probabilities), "utf8")
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


def predictions(material: LabelledFeatures, probabilities: Float32[np.ndarray, "clips classes"]) -> str:
    """CSV of every clip: clip, group, part, label, predicted, duration (s), rms as recorded, p_<class> of each."""
    classes = material.dataset.classes
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(
        ["clip", "group", "part", "label", "predicted", "duration", "rms", *(f"p_{name}" for name in classes)]
    )
    every = zip(material.dataset.clips, material.parts, material.extraction.facts, probabilities, strict=True)
    for clip, part, facts, row in every:
        # repr of a float32 is the shortest text that reads back as the same bits.
        values = [str(value) for value in row]
        said = classes[int(row.argmax())]
        heard = [f"{facts.duration:.3f}", f"{facts.rms:.6f}"]
        table.writerow([clip.id, clip.group or "", part, clip.label, said, *heard, *values])
    return text.getvalue()
