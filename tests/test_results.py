"""What a run holds of its result, to the last bit and for any label."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import yaml

from src.data.audio import Facts
from src.data.clip import Clip, Dataset
from src.extract import Extraction
from src.head.network import FittedNetwork, Scaling
from src.material import Material
from src.results import log_results, predictions
from src.tracking import Run
from src.trained.card import Card

CLASSES = ("rock, hard", 'the "blues"', "tänze")
PARTS = ["train", "test", "test", "validation", "test"]
LABELS = [0, 0, 1, 2, 1]


@pytest.fixture
def material() -> Material:
    groups = ["g,1", None, None, 'g"2', None]
    clips = tuple(
        Clip(Path(f"x/{i}.wav"), CLASSES[label], f"{CLASSES[label]}/{i}", groups[i]) for i, label in enumerate(LABELS)
    )
    dataset = Dataset("toy", "toy", Path("x"), CLASSES, clips, "recorded", "made up")
    features = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    facts = [Facts(8000, 1, "WAV/PCM_16", 1.5, 2.0, 0.5, 0.123456789, 0.0)] * 5
    extraction = Extraction(list(clips), features, list("abcde"), facts, {}, 5)
    names = ("dataset", "unusable", "silent", "short", "classes without test clips", "groups on both sides")
    return Material(dataset, extraction, PARTS, np.array(LABELS), {**{name: [] for name in names}, "silent": ["x/0"]})


@pytest.fixture
def head() -> FittedNetwork:
    rng = np.random.default_rng(1)
    weight, bias = rng.standard_normal((3, 4)).astype(np.float32), np.zeros(3, np.float32)
    return FittedNetwork("linear", Scaling(np.zeros(4, np.float32), np.ones(4, np.float32)), (weight,), (bias,))


class Kept(Run):
    """Stands for a tracked run."""

    def __init__(self) -> None:
        self.metrics: dict[str, float] = {}
        self.files: dict[str, bytes] = {}

    def log(self, *, metrics=None, params=None, tags=None):
        self.metrics |= metrics

    def artifacts(self, folder):
        self.files |= {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture
def kept(material, head):
    run = Kept()
    settings = {"seed": 0, "dataset": {"root": "Meine Tänze (1)", "keep": None}}
    card = Card({"version": 1}, {"_target_": "toy.Toy"}, CLASSES, "linear", 1.5, 1.5)
    run.accuracy = log_results(run, material, head, {"fit": 1.5}, settings, card)
    return run


def test_predictions_read_back_to_the_bit(material):
    rng = np.random.default_rng(2)
    probabilities = rng.dirichlet(np.ones(3), 5).astype(np.float32)
    probabilities[0] = [1, 0, np.float32(1e-45)]
    rows = list(csv.reader(io.StringIO(predictions(material, probabilities))))
    assert rows[0] == ["clip", "group", "part", "label", "predicted", "duration", "rms", *(f"p_{c}" for c in CLASSES)]
    for i, row in enumerate(rows[1:]):
        clip = material.dataset.clips[i]
        assert row[:4] == [clip.id, clip.group or "", PARTS[i], CLASSES[LABELS[i]]]
        assert row[4] == CLASSES[int(probabilities[i].argmax())]
        assert row[5:7] == ["1.500", "0.123457"]
        assert np.array([np.float32(value) for value in row[7:]]).tobytes() == probabilities[i].tobytes()


def test_metrics_are_of_the_test_clips_alone(kept, material, head):
    predicted = head.probabilities(material.extraction.features).argmax(axis=1)
    right = [predicted[i] == LABELS[i] for i, part in enumerate(PARTS) if part == "test"]
    assert kept.accuracy == kept.metrics["test/accuracy"] == sum(right) / 3
    assert kept.metrics["test/recall/rock, hard"] == float(right[0])
    assert kept.metrics['test/recall/the "blues"'] == (right[1] + right[2]) / 2
    assert "test/recall/tänze" not in kept.metrics  # no test clip: not 0, not NaN
    assert kept.metrics["seconds/fit"] == 1.5
    assert (kept.metrics["clips/test"], kept.metrics["clips/silent"]) == (3, 1)
    assert all(np.isfinite(value) for value in kept.metrics.values())


def test_files(kept, head):
    assert set(kept.files) == {
        "config.yaml", "predictions.csv", "notes.json", "head.json", "head.safetensors", "confusion.png",
        "model.json",
    }  # fmt: skip
    assert yaml.safe_load(kept.files["config.yaml"]) == {
        "seed": 0, "dataset": {"root": "Meine Tänze (1)", "keep": None},
    }  # fmt: skip
    assert "Tänze" in kept.files["config.yaml"].decode()
    assert json.loads(kept.files["head.json"]) == {"kind": "linear", "classes": list(CLASSES), "warnings": []}
    stored = safetensors.numpy.load(kept.files["head.safetensors"])
    assert set(stored) == set(head.tensors())
    for name, value in head.tensors().items():
        assert stored[name].tobytes() == value.tobytes()
    assert json.loads(kept.files["notes.json"])["silent"] == ["x/0"]


def test_the_confusion_matrix_is_drawn_for_any_number_of_classes(tmp_path):
    from PIL import Image

    from src.report.confusion import draw_confusion

    sizes = []
    for n in (2, 30):
        confusion = np.eye(n, dtype=np.int64) * 5
        draw_confusion(confusion, [f"klasse {i}" for i in range(n)], tmp_path / "c.png")
        with Image.open(tmp_path / "c.png") as picture:
            sizes.append(picture.size)
            assert len(picture.convert("L").getcolors() or []) > 2
    assert sizes[1][0] > 3 * sizes[0][0]
