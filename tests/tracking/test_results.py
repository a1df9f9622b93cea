"""What a run holds of its result, to the last bit and for any label."""

import csv
import io
import json
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import yaml
from matplotlib.figure import Figure

from src.data.audio import AudioStats
from src.data.clip import Clip, Dataset
from src.features.extract import Extraction
from src.features.labelled import LabelledFeatures
from src.features.render_stats import CONSEQUENCES, RenderStats
from src.head.network import FittedNetwork, Scaling
from src.tracking.figures import draw_confusion
from src.tracking.model_card import ModelCard
from src.tracking.results import CorrectClips, Scored, log_results, predictions
from src.tracking.store import Run

CLASSES = ("rock, hard", 'the "blues"', "tänze")
PARTS = ["train", "test", "test", "validation", "test"]
LABELS = [0, 0, 1, 2, 1]
RENDERED = RenderStats(silent=0.0, contrast=200.0, mono=1.0, lost=0.0)


@pytest.fixture
def material() -> LabelledFeatures:
    groups = ["g,1", None, None, 'g"2', None]
    clips = tuple(
        Clip(Path(f"x/{i}.wav"), CLASSES[label], f"{CLASSES[label]}/{i}", groups[i]) for i, label in enumerate(LABELS)
    )
    dataset = Dataset("toy", "toy", Path("x"), CLASSES, clips, "recorded", "made up")
    features = np.random.default_rng(0).standard_normal((5, 4)).astype(np.float32)
    facts = [AudioStats(8000, 1, "WAV/PCM_16", 1.5, 2.0, 0.5, 0.123456789, 0.0)] * 5
    extraction = Extraction(list(clips), features, list("abcde"), facts, [RENDERED] * 5, {}, 5)
    names = ("dataset", "unusable", "short", "classes without test clips", "groups on both sides", *CONSEQUENCES)
    return LabelledFeatures(
        dataset, extraction, PARTS, np.array(LABELS), {**{name: [] for name in names}, "silent": ["x/0"]}
    )


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
    card = ModelCard({"version": 1}, {"_target_": "toy.Toy"}, CLASSES, "linear", 1.5, 1.5)
    run.correct = log_results(run, material, head, {"fit": 1.5}, settings, card)
    return run


def test_predictions_read_back_to_the_bit(material):
    rng = np.random.default_rng(2)
    probabilities = rng.dirichlet(np.ones(3), 5).astype(np.float32)
    probabilities[0] = [1, 0, np.float32(1e-45)]
    rows = list(csv.reader(io.StringIO(predictions(Scored.of(material, probabilities), CLASSES))))
    assert rows[0] == ["clip", "group", "part", "label", "predicted", "duration", "rms", *(f"p_{c}" for c in CLASSES)]
    for i, row in enumerate(rows[1:]):
        clip = material.dataset.clips[i]
        assert row[:4] == [clip.id, clip.group or "", PARTS[i], CLASSES[LABELS[i]]]
        assert row[4] == CLASSES[int(probabilities[i].argmax())]
        assert row[5:7] == ["1.500", "0.123457"]
        assert np.array([np.float32(value) for value in row[7:]]).tobytes() == probabilities[i].tobytes()


def test_metrics_are_of_the_test_clips_alone(kept, material, head):
    predicted = head.predict_proba(material.extraction.features).argmax(axis=1)
    right = [predicted[i] == LABELS[i] for i, part in enumerate(PARTS) if part == "test"]
    assert kept.correct.accuracy == kept.metrics["test/accuracy"] == sum(right) / 3
    assert kept.metrics["test/recall/rock, hard"] == float(right[0])
    assert kept.metrics['test/recall/the "blues"'] == (right[1] + right[2]) / 2
    assert "test/recall/tänze" not in kept.metrics  # no test clip: not 0, not NaN
    assert kept.metrics["seconds/fit"] == 1.5
    assert (kept.metrics["clips/test"], kept.metrics["clips/silent"]) == (3, 1)
    assert all(np.isfinite(value) for value in kept.metrics.values())


def test_which_clips_were_right_is_kept_in_short(kept, material, head):
    predicted = head.predict_proba(material.extraction.features).argmax(axis=1)
    right = "".join("01"[int(predicted[i] == LABELS[i])] for i, part in enumerate(PARTS) if part == "test")
    content = json.loads(kept.files["correct.json"])
    assert (content["correct"], content["groups"]) == (right, [0, 1, 2])
    assert content["digest"] == kept.correct.digest
    others = CorrectClips.of(["rock, hard/1", "b", "c"], [None] * 3, np.ones(3, dtype=bool))
    assert others.digest != kept.correct.digest


def test_files(kept, head):
    assert set(kept.files) == {
        "correct.json",
        "config.yaml", "predictions.csv", "notes.json", "head.json", "head.safetensors", "confusion.png",
        "confusion.csv", "model.json",
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


@pytest.mark.parametrize("classes", [2, 30, 31, 1000, 3001])
def test_a_confusion_matrix_has_a_picture_of_bounded_size(tmp_path, classes):
    from PIL import Image

    confusion = np.zeros((classes, classes), np.int64)
    confusion[: classes // 2, 0] = 5  # the first half is always taken for the first class, the others are recognised
    confusion[range(classes // 2, classes), range(classes // 2, classes)] = 5
    draw_confusion(confusion, [f"class {i}" for i in range(classes)], tmp_path / "c.png")
    with Image.open(tmp_path / "c.png") as picture:
        assert max(picture.size) <= 2000
        assert (min(picture.size) > 1000) == (classes >= 30)
        blue = np.asarray(picture.convert("RGB")).astype(int)
    rows, columns = (blue[:, :, 2] - blue[:, :, 0] > 40).nonzero()  # the colour map's dark end is blue
    assert len(rows) > 100
    # The first half is dark in the first column, the second on the diagonal.
    first, second = columns[rows < np.quantile(rows, 0.2)], columns[rows > np.quantile(rows, 0.8)]
    assert first.mean() + 0.2 * blue.shape[1] < second.mean()


def test_names_that_a_picture_cannot_show_as_they_are(tmp_path):
    draw_confusion(np.eye(3, dtype=np.int64), ["$x^$", "名前", "long " * 60], tmp_path / "c.png")
    assert (tmp_path / "c.png").stat().st_size > 1000


def test_the_counts_are_a_table_as_well(kept, material, head):
    predicted = head.predict_proba(material.extraction.features).argmax(axis=1)
    expected = {}
    for i, part in enumerate(PARTS):
        if part == "test":
            pair = (CLASSES[LABELS[i]], CLASSES[predicted[i]])
            expected[pair] = expected.get(pair, 0) + 1
    rows = list(csv.DictReader(io.StringIO(kept.files["confusion.csv"].decode())))
    assert {(row["label"], row["predicted"]): int(row["clips"]) for row in rows} == expected


def test_a_picture_that_cannot_be_drawn_costs_the_run_nothing_else(material, head, monkeypatch, caplog):
    def fail(*_args, **_kwargs):
        raise MemoryError("10 GB")

    monkeypatch.setattr(Figure, "savefig", fail)
    run = Kept()
    card = ModelCard({"version": 1}, {"_target_": "toy.Toy"}, CLASSES, "linear", 1.5, 1.5)
    correct = log_results(run, material, head, {"fit": 1.5}, {}, card)
    assert run.metrics["test/accuracy"] == correct.accuracy
    assert "confusion.png" not in run.files
    assert {"confusion.csv", "predictions.csv", "head.safetensors", "notes.json"} <= set(run.files)
    assert "10 GB" in json.loads(run.files["notes.json"])["pictures"][0]
    assert "confusion.png" in caplog.text


def test_a_thousand_classes(material):
    classes = tuple(f"class {i}" for i in range(1000))
    clips = tuple(Clip(Path(f"x/{i}.wav"), classes[i % 1000], f"{classes[i % 1000]}/{i}") for i in range(2000))
    parts = ["train"] * 1000 + ["test"] * 1000
    labels = np.arange(2000) % 1000
    features = np.zeros((2000, 1000), np.float32)
    features[np.arange(2000), np.where(labels == 999, 0, labels)] = 1  # the last class looks like the first
    extraction = Extraction(
        list(clips), features, [str(i) for i in range(2000)], material.extraction.facts * 400, [RENDERED] * 2000, {}, 0
    )
    dataset = Dataset("toy", "toy", Path("x"), classes, clips, "recorded", "made up")
    scaling = Scaling(np.zeros(1000, np.float32), np.ones(1000, np.float32))
    sure = FittedNetwork("linear", scaling, (100 * np.eye(1000, dtype=np.float32),), (np.zeros(1000, np.float32),))
    run = Kept()
    card = ModelCard({"version": 1}, {"_target_": "toy.Toy"}, classes, "linear", 1.5, 1.5)
    many = LabelledFeatures(dataset, extraction, parts, labels, material.notes)
    assert log_results(run, many, sure, {"fit": 1.5}, {}, card).accuracy == 0.999
    assert sum(name.startswith("test/recall/") for name in run.metrics) == 1000
    assert run.files["confusion.csv"].decode().splitlines()[-1] == "class 999,class 0,1"
    assert len(run.files["confusion.csv"].decode().splitlines()) == 1001
    assert run.files["confusion.png"][:4] == b"\x89PNG"


def test_metrics_are_there_before_a_file_that_cannot_be_stored(material, head, monkeypatch):
    class Full(Kept):
        def artifacts(self, folder):
            raise OSError(28, "No space left on device")

    run = Full()
    card = ModelCard({"version": 1}, {"_target_": "toy.Toy"}, CLASSES, "linear", 1.5, 1.5)
    with pytest.raises(OSError, match="No space left"):
        log_results(run, material, head, {"fit": 1.5}, {}, card)
    assert "test/accuracy" in run.metrics
