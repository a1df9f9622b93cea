"""From a finished run back to its model: the same bits, or an error that names what differs."""

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from src.config import build as configure
from src.errors import UserError
from src.features import pipeline
from src.tracking import results
from src.tracking.checkpoint import load
from src.tracking.model_card import ModelCard
from src.tracking.store import as_params

NETWORK = [
    "backbone=timm", "backbone.model=test_efficientnet", "backbone.weights=random", "backbone.size=32",
    "backbone.engine=torch", "backbone.device=cpu",
]  # fmt: skip


@pytest.fixture
def sounds(bench, write_clips):
    """Overrides for a folder of two classes whose clips are the middle of longer files."""
    write_clips(bench.folder / "sounds", ["high", "low"], 10, seconds=0.5)
    words = ["dataset=folder", f"dataset.root='{bench.folder / 'sounds'}'", "dataset.start=0.2", "dataset.duration=0.2"]
    return [*words, "dataset.sample_rate=4000", "preprocess=augmented"]


def build(settings):
    return configure.pipeline(settings, Path())


@pytest.mark.parametrize(
    "words",
    [
        ["head=linear"],
        ["head=random_forest", "backbone=marsyas"],
        ["head=one_vs_one"],
        ["head=mlp", *NETWORK],
        ["head=logistic"],
    ],
)
def test_every_stored_probability_comes_back_to_the_bit(bench, sounds, words):
    outcome, store = bench.run(*sounds, *words), bench.store()
    model = load(store.get(outcome.run_id), store, build)
    table = list(csv.DictReader(io.StringIO(store.artifact(outcome.run_id, "predictions.csv").decode())))
    assert model.classes == ("high", "low")
    inputs = [model.pipeline.prepare(bench.folder / "sounds" / row["clip"]).value for row in table]
    alone = np.concatenate([model.classify([one]) for one in inputs])
    for found in (alone, model.classify(inputs)):
        assert found.dtype == np.float32
        assert [[str(value) for value in row] for row in found] == [[row["p_high"], row["p_low"]] for row in table]
    assert model.classify([]).shape == (0, 2)


def test_what_auto_came_to_is_kept_and_not_decided_again(bench, sounds, monkeypatch, tmp_path):
    from src.backbone.auto import Decision

    file = tmp_path / "weights" / "mine.safetensors"
    network = configure.backbone({**bench.config(*sounds, *NETWORK).backbone}, tmp_path, tmp_path, 1).network
    file.parent.mkdir()
    safetensors.torch.save_file({k: v.contiguous() for k, v in network.module.state_dict().items()}, file)
    settings = configure.plain_group(bench.config(*sounds, "backbone=auto", "backbone.size=32"), "backbone")
    monkeypatch.setattr(configure, "decide", lambda *_, **__: Decision("inception_v3", file, ""))
    settled = configure.settle(settings, tmp_path, tmp_path / "decision")
    assert settled["_target_"] == "src.backbone.vision.TimmBackbone"
    assert (settled["model"], settled["weights"], settled["size"]) == ("inception_v3.tf_in1k", str(file), 32)
    assert "standardize_features" not in settled
    assert configure.settle(settled, tmp_path, tmp_path / "another") == settled


def test_other_weights_are_an_error_never_another_answer(bench, sounds):
    outcome, store = bench.run(*sounds, *NETWORK), bench.store()

    def reseeded(settings):
        return configure.pipeline({**settings, "backbone": {**settings["backbone"], "weights_seed": 1}}, Path())

    for exact in (True, False):
        with pytest.raises(UserError, match=r"as they were\. backbone\.weights: .*weights_file="):
            load(store.get(outcome.run_id), store, reseeded, exact=exact)


def test_a_missing_weights_file_is_an_error(bench, sounds, tmp_path):
    network = configure.backbone({**bench.config(*sounds, *NETWORK).backbone}, tmp_path, tmp_path, 1).network
    file = tmp_path / "mine.safetensors"
    safetensors.torch.save_file({k: v.contiguous() for k, v in network.module.state_dict().items()}, file)
    given = [word for word in NETWORK if "weights" not in word]
    outcome, store = bench.run(*sounds, *given, f"backbone.weights='{file}'"), bench.store()
    run = store.get(outcome.run_id)
    assert load(run, store, build).classes == ("high", "low")
    configure._loaded.cache_clear()
    file.rename(tmp_path / "moved.safetensors")
    with pytest.raises(UserError, match=r"no file .*mine\.safetensors"):
        load(run, store, build)
    state = {k: v.contiguous() for k, v in network.module.state_dict().items()}
    state["conv_stem.weight"] = torch.nextafter(state["conv_stem.weight"], torch.tensor(1.0))
    safetensors.torch.save_file(state, file)
    with pytest.raises(UserError, match=r"backbone\.weights: the run had [0-9a-f]{16}, here it is [0-9a-f]{16}"):
        load(run, store, build)


def test_another_engine_is_an_error_unless_it_is_accepted(bench, sounds, caplog):
    outcome, store = bench.run(*sounds, *NETWORK), bench.store()
    run = store.get(outcome.run_id)

    def elsewhere(settings):
        pipeline = build(settings)
        identity = {**pipeline.backbone.identity, "engine": "torch 9.9", "device": "Some GPU"}

        class Elsewhere:
            batch_size, input = 1, "picture"

            def __getattr__(self, name):
                return getattr(pipeline.backbone, name)

        found = Elsewhere()
        found.identity = identity
        return replace(pipeline, backbone=found)

    with pytest.raises(UserError, match=r"engine: the run had torch .*, here it is torch 9\.9\..*exact=false"):
        load(run, store, elsewhere)
    load(run, store, elsewhere, exact=False)
    assert "may differ in their last digits" in caplog.text


def test_other_code_is_told_with_the_commit_that_made_the_run(bench, sounds, monkeypatch):
    outcome, store = bench.run(*sounds), bench.store()
    run = store.get(outcome.run_id)
    monkeypatch.setattr(pipeline, "FEATURE_VERSION", 99)
    with pytest.raises(UserError, match=rf"version: the run had \d+, here it is 99\..*{run.tags['git_commit'][:40]}"):
        load(run, store, build, exact=False)


def test_runs_without_a_model_say_what_to_do(bench, sounds, monkeypatch):
    monkeypatch.setattr(results, "CARD", "older.json")
    outcome, store = bench.run(*sounds), bench.store()
    run = store.get(outcome.run_id)
    with pytest.raises(UserError, match=r"no artifact 'model\.json'.* never had it.*force=true"):
        load(run, store, build)
    with pytest.raises(UserError, match="it is FAILED; only a finished run has a model"):
        load(replace(run, status="FAILED"), store, build)


def test_the_card_of_a_run_says_how_long_its_clips_are(bench, sounds):
    outcome, store = bench.run(*sounds), bench.store()
    content = store.artifact(outcome.run_id, "model.json")
    card = ModelCard.read(content)
    assert (card.typical_seconds, card.longest_seconds, card.head) == (0.2, 0.2, "linear")
    assert str(bench.folder) not in json.dumps(json.loads(content)["features"])
    assert as_params(card.backbone)["_target_"] == "src.backbone.pixels.Pixels"
