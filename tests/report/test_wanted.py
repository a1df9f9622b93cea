import shlex
from dataclasses import replace
from itertools import product

import pytest

from src.report.wanted import commands, described
from src.tracking import RunRecord

LITE0 = {"backbone": "efficientnet_lite0", "weights": "imagenet efficientnet_lite0 1a2b3c4d"}


def record(one, tags=None, params=None) -> RunRecord:
    """A run made with the settings of a cell."""
    spectrogram = "none" if "Marsyas" in one.params["backbone._target_"] else "asperes"
    known = {"dataset": one.title, "origin": "rendered", "spectrogram": spectrogram, "head": "linear", **LITE0}
    return RunRecord("id", "", "FINISHED", 0.0, 0.0, known | (tags or {}), one.params | (params or {}), {}, "")


@pytest.fixture
def one(cells):
    return cells("table2_network", "dataset=composer", "preprocess=normalized")[0]


def test_a_run_with_the_same_settings_is_accepted(one):
    assert one.accepts(record(one))
    changed = {"seed": "4", "workers": "7", "trainer.validate_every": "1", "paths.data": "x"}
    assert one.accepts(record(one, params=changed)), "none of these changes a result"
    written = {"preprocess.levels_dbfs": "[0]", "head.learning_rate": "1e-2", "trainer.max_steps": "8000.0"}
    assert one.accepts(record(one, params=written)), "the same numbers"


@pytest.mark.parametrize(
    ("tags", "params"),
    [
        ({"dataset": "genre"}, {}),
        ({"weights": "random seed 0"}, {}),
        ({"weights": "file mine 1a2b3c4d"}, {}),
        ({}, {"preprocess.levels_dbfs": "[]"}),
        ({}, {"spectrogram.reference": "peak"}),
        ({}, {"trainer.max_steps": "50"}),
        ({}, {"head.learning_rate": "0.1"}),
        ({}, {"split.name": "stratified"}),
        ({}, {"dataset.clips_per_class": "20"}),
        ({}, {"dataset.start": "1.0"}),
        ({}, {"backbone.precision": "bfloat16"}),
        ({}, {"backbone.size": "112"}),
        ({"backbone": "resnet18"}, {"backbone._target_": "src.backbone.vision.Vision", "backbone.model": "resnet18"}),
    ],
)
def test_a_run_with_other_settings_is_not(one, tags, params):
    assert not one.accepts(record(one, tags, params))


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
    (one,) = cells("table2_baseline", "dataset=composer", "preprocess=normalized")
    assert one.accepts(
        record(one, {"head": "random_forest"}, {"spectrogram.reference": "peak", "trainer.max_steps": "5"})
    )
    assert not one.accepts(record(one, {"head": "random_forest"}, {"backbone.max_frames": "5"}))


def test_the_hash_split_has_no_seed(one):
    tags = record(one).tags
    assert "split.seed" not in described(one.params, tags)
    assert "split.seed" in described(one.params | {"split.name": "stratified"}, tags)
    assert "split.fold" in described(one.params | {"split.name": "kfold"}, tags)


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
