import shlex
from dataclasses import replace
from itertools import product

import pytest

from src.tracking.expected_cell import commands
from src.tracking.store import RunRecord

LITE0 = {"backbone": "efficientnet_lite0", "weights": "imagenet efficientnet_lite0 1a2b3c4d"}
COMPOSER = ("dataset=composer", "preprocess=normalized")


def record(one, tags=None, params=None) -> RunRecord:
    """A run made with the settings of a cell."""
    spectrogram = "none" if "Marsyas" in one.params["backbone._target_"] else "asperes"
    known = {"dataset": one.title, "origin": "rendered", "spectrogram": spectrogram, "head": "linear", **LITE0}
    known["settings"] = one.digest
    return RunRecord("id", "", "FINISHED", 0.0, 0.0, known | (tags or {}), one.params | (params or {}), {}, "")


@pytest.fixture
def one(cells):
    return cells("table2_network", *COMPOSER)[0]


@pytest.mark.parametrize(
    "word",
    [
        "workers=7", "trainer.validate_every=1", "paths.data=x", "preprocess.levels_dbfs=[0]",
        "head.learning_rate=1e-2", "trainer.max_steps=8e3", "spectrogram.fmin=20",
        "dataset.include_classes=[mozart,beethoven]",
        "head.standardize=false", "split.folds=7", "transfer.steps=3", "tracking.experiment=other",
    ],
)  # fmt: skip
def test_a_run_with_the_same_settings_is_accepted(cells, one, word):
    (other,) = cells("table2_network", *COMPOSER, word)
    assert one.accepts(record(other)), "it changes no result, or says the same"
    assert other.accepts(record(one))


@pytest.mark.parametrize(
    "word",
    [
        "preprocess.levels_dbfs=[-3]", "spectrogram.reference=peak", "spectrogram=mel", "trainer.max_steps=50",
        "trainer.batch_size=50", "trainer.threads=2", "head.learning_rate=0.1", "head=mlp", "head.standardize=true",
        "split=stratified", "dataset.start=1.0", "dataset.mono=left", "dataset.on_unreadable=skip",
        "dataset.group_pattern='(.)'", "dataset.base=other",
        "transfer=finetune", "dataset.name=other",
    ],
)  # fmt: skip
def test_a_run_with_other_settings_is_not(cells, one, word):
    (other,) = cells("table2_network", *COMPOSER, word)
    assert not one.accepts(record(other))
    assert not other.accepts(record(one))
    assert other.accepts(record(other))


@pytest.mark.parametrize(
    ("tags", "params"),
    [
        ({"weights": "random seed 0"}, {}),
        ({"weights": "file mine 1a2b3c4d"}, {}),
        ({"settings": "of a run that does not say"}, {}),
        ({}, {"dataset.clips_per_class": "20"}),
        ({}, {"backbone.precision": "bfloat16"}),
        ({}, {"backbone.size": "112"}),
        (
            {"backbone": "resnet18"},
            {"backbone._target_": "src.backbone.vision.TimmBackbone", "backbone.model": "resnet18"},
        ),
    ],
)
def test_a_run_with_another_network_or_stand_in_is_not(one, tags, params):
    assert not one.accepts(record(one, tags, params))


@pytest.mark.parametrize("head", ["linear", "mlp", "one_vs_one"])
def test_steps_count_for_every_head_that_is_trained_by_steps(cells, head):
    few, many = (cells("table2_network", *COMPOSER, f"head={head}", f"trainer.max_steps={n}")[0] for n in (10, 3000))
    assert not few.accepts(record(many))
    assert few.accepts(record(few))


@pytest.mark.parametrize("head", ["logistic", "random_forest"])
def test_steps_do_not_count_for_other_heads(cells, head):
    few, many = (cells("table2_network", *COMPOSER, f"head={head}", f"trainer.max_steps={n}")[0] for n in (10, 3000))
    assert few.accepts(record(many))
    assert few.common == (f"head={head}",), "a command with the steps would be refused"


def test_a_head_without_randomness_wants_one_run(cells):
    (one,) = cells("", *COMPOSER, "head=logistic", "seed=3,4")
    assert (one.seeded, one.seeds) == (False, (3,))
    (linear,) = cells("", *COMPOSER, "head=linear", "seed=3,4")
    assert (linear.seeded, linear.seeds) == (True, (3, 4))


@pytest.mark.parametrize("way", ["", ", without zero-init"])
def test_random_weights_are_accepted_by_their_seed(cells, way):
    (one,) = cells("table2_network", "dataset=composer", "preprocess=normalized", "backbone.weights=random")
    assert one.accepts(record(one, {"weights": f"random seed 0{way}"}))
    assert not one.accepts(record(one, {"weights": f"random seed 1{way}"}))


def test_auto_accepts_the_network_it_would_have_chosen(cells, one):
    (explicit,) = cells("table2_network", "dataset=composer", "preprocess=normalized", "backbone=efficientnet_lite0")
    assert one.accepts(record(explicit)), "the trainer takes both for the same run"
    assert explicit.accepts(record(one))
    inception = {"backbone": "inception_v3", "weights": "imagenet inception_v3.tf_in1k 99887766"}
    assert one.accepts(record(one, inception))
    assert not explicit.accepts(record(one, inception))


def test_a_stand_ins_size_does_not_matter_to_recordings(one):
    assert one.accepts(record(one, {"origin": "recorded"}, {"dataset.clips_per_class": "20"}))


def test_a_source_that_was_asked_for_must_be_the_runs(cells):
    (one,) = cells("table2_network", "dataset=composer", "preprocess=normalized", "dataset.source=recordings")
    assert one.accepts(record(one, {"origin": "recorded"}))
    assert not one.accepts(record(one, {"origin": "rendered"}))


def test_settings_that_a_backbone_ignores_do_not_count(cells):
    (one,) = cells("table2_baseline", *COMPOSER)
    (same,) = cells("table2_baseline", *COMPOSER, "spectrogram.reference=peak", "dataset.mono=left")
    assert one.accepts(record(same))
    (other,) = cells("table2_baseline", *COMPOSER, "dataset.start=1")
    assert not one.accepts(record(other))
    (marsyas,) = cells("", *COMPOSER, "backbone=marsyas", "backbone.max_frames=5", "head=random_forest", "seed=0")
    assert not one.accepts(record(marsyas))


def test_settings_that_a_split_ignores_do_not_count(cells, one):
    for word, rule, counts in (
        ("split.seed=1", "hash", False), ("split.seed=1", "stratified", True), ("split.fold=1", "stratified", False),
        ("split.fold=1", "kfold", True), ("split.folds=4", "kfold", True),
    ):  # fmt: skip
        plain, other = (cells("table2_network", *COMPOSER, f"split={rule}", *more)[0] for more in ((), (word,)))
        assert plain.accepts(record(other)) != counts


def test_commands_make_what_is_missing_and_nothing_else(cells):
    found = cells("table2_network", "dataset=composer,genre,vocalist", "dataset.clips_per_class=20")
    missing = [(one, (0, 1) if one.title != "genre" else (3,)) for one in found if one.condition != "augmented"]
    missing.append((next(one for one in found if one.condition == "augmented"), (4,)))
    made: list[tuple[str, str, str]] = []
    lines = commands(missing)
    for line in lines:
        words = shlex.split(line)
        assert words[:4] == ["python", "-m", "src.train", "-m"]
        assert words[-1] == "dataset.clips_per_class=20"
        given = dict(word.split("=", 1) for word in words[4:])
        assert given.pop("experiment") == "table2_network"
        made += product(given["dataset"].split(","), given["preprocess"].split(","), given["seed"].split(","))
    expected = [(one.title, one.condition, str(seed)) for one, seeds in missing for seed in seeds]
    assert sorted(made) == sorted(expected)
    assert len(lines) == 3


def test_commands_quote_for_the_shell(cells):
    (one,) = cells("table2_network", "dataset=composer", "preprocess=normalized")
    line = replace(one, common=("dataset.root='My sounds (2024)'",)).command([0])
    assert shlex.split(line)[-1] == "dataset.root='My sounds (2024)'"
