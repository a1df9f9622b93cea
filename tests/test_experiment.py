"""Whole jobs in this process: what a run holds, when it is run again, and what it leaves untouched."""

import csv
import hashlib
import io
import json
import logging
import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
import torch
import yaml

from src import experiment as experiment_module
from src.cli.sweep import JobResult
from src.cli.sweep_table import comparison
from src.data.split import hash_part
from src.errors import UserError
from src.head import load_head

CONDITIONS = ("unprocessed", "normalized", "augmented")


@pytest.fixture
def birds(bench, write_clips):
    """Overrides for a folder of two classes, and the bench it lies on."""
    write_clips(bench.folder / "birds", ["Zaun könig", "owl"], 20)
    return ["dataset=folder", f"dataset.root='{bench.folder / 'birds'}'"]


def table(store, outcome):
    return list(csv.DictReader(io.StringIO(store.artifact(outcome.run_id, "predictions.csv").decode())))


def test_a_run_holds_everything_about_its_result(bench, birds):
    outcome = bench.run(*birds, "seed=0", "preprocess=unprocessed")
    store = bench.store()
    run = store.get(outcome.run_id)
    assert (run.status, outcome.known, outcome.test_clips) == ("FINISHED", False, 4)
    expected = {
        "dataset": "birds", "preprocess": "unprocessed", "backbone": "pixels", "weights": "none", "head": "linear",
        "split": "stratified", "seed": "0", "origin": "recorded", "spectrogram": "waveform",
    }  # fmt: skip
    assert {key: run.tags[key] for key in expected} == expected
    assert str(bench.folder / "birds") in run.tags["provenance"]
    assert len(run.tags["git_commit"].removesuffix("+changes")) == 40
    assert "torch=2." in run.tags["versions"]
    assert run.params["dataset.root"] == str(bench.folder / "birds")
    assert (run.params["seed"], run.params["trainer.max_steps"], run.params["split.name"]) == ("0", "20", "stratified")
    assert run.metrics["test/accuracy"] == outcome.accuracy
    assert (run.metrics["clips/train"], run.metrics["clips/validation"], run.metrics["clips/test"]) == (32, 4, 4)
    curve = store.client.get_metric_history(outcome.run_id, "validation/accuracy")
    assert [point.step for point in curve] == [10, 20]

    config = yaml.safe_load(store.artifact(outcome.run_id, "config.yaml"))
    assert config["dataset"]["root"] == str(bench.folder / "birds")
    assert config["backbone"]["rows"] == 4
    rows = table(store, outcome)
    assert Counter(row["part"] for row in rows) == {"train": 32, "validation": 4, "test": 4}
    assert {row["label"] for row in rows} == {"owl", "zaun_könig"}
    tested = [row for row in rows if row["part"] == "test"]
    assert sum(row["label"] == row["predicted"] for row in tested) / len(tested) == outcome.accuracy
    recall = [row["predicted"] == "zaun_könig" for row in tested if row["label"] == "zaun_könig"]
    assert run.metrics["test/recall/zaun_könig"] == sum(recall) / len(recall)
    for row in rows:
        probabilities = {label: float(row[f"p_{label}"]) for label in ("owl", "zaun_könig")}
        assert sum(probabilities.values()) == pytest.approx(1, abs=1e-6)  # two float32, rounded
        assert row["predicted"] == max(probabilities, key=lambda label: probabilities[label])
    assert store.artifact(outcome.run_id, "confusion.png").startswith(b"\x89PNG")
    assert set(json.loads(store.artifact(outcome.run_id, "notes.json"))) >= {"unusable", "silent", "short"}


def test_the_stored_head_gives_the_stored_probabilities(bench, birds):
    experiment = bench.configured(*birds)
    outcome = bench.run(*birds)
    store = bench.store()
    card = json.loads(store.artifact(outcome.run_id, "head.json"))
    tensors = safetensors.numpy.load(store.artifact(outcome.run_id, "head.safetensors"))
    head = load_head(card["kind"], tensors)

    for row in table(store, outcome)[::7]:
        folder = "owl" if row["clip"].startswith("owl/") else "Zaun könig"
        path = bench.folder / "birds" / folder / Path(row["clip"]).name
        value = experiment.pipeline.prepare(path).value
        probabilities = head.predict_proba(experiment.pipeline.backbone.embed([value]))[0]
        assert [str(p) for p in probabilities] == [row[f"p_{label}"] for label in card["classes"]]


def test_a_known_result_is_not_computed_again_unless_forced(bench, birds, monkeypatch):
    first = bench.run(*birds)
    with monkeypatch.context() as patched:
        patched.setattr(experiment_module, "prepare", lambda *_: pytest.fail("computed again"))
        again = bench.run(*birds)
    assert (again.run_id, again.accuracy, again.test_clips, again.known) == (first.run_id, first.accuracy, 4, True)
    assert len(bench.store().runs()) == 1
    forced = bench.run(*birds, force=True)
    assert forced.run_id != first.run_id
    # The same seed gives the same bits, not only the same accuracy.
    store = bench.store()
    for name in ("predictions.csv", "head.safetensors"):
        assert store.artifact(forced.run_id, name) == store.artifact(first.run_id, name)


def test_force_reads_every_file_anew(bench, birds, monkeypatch):
    bench.run(*birds)
    read, original = [], hashlib.file_digest

    def counted(file, kind):
        read.append(Path(file.name))
        return original(file, kind)

    monkeypatch.setattr(hashlib, "file_digest", counted)
    bench.run(*birds)
    assert read == []
    bench.run(*birds, force=True)
    assert sorted(path for path in read if path.suffix == ".wav") == sorted((bench.folder / "birds").glob("*/*.wav"))


def test_a_file_edited_in_place_is_another_result_even_if_its_time_is_kept(bench, birds):
    first = bench.run(*birds)
    path = next((bench.folder / "birds" / "owl").iterdir())
    before = path.stat()
    with path.open("r+b") as file:
        file.seek(-2, 2)
        file.write(b"\x12\x34")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    second = bench.run(*birds)
    assert not second.known
    tags = [bench.store().get(outcome.run_id).tags["data_digest"] for outcome in (first, second)]
    assert tags[0] != tags[1]


def test_seeds_are_seeds_zero_too(bench, birds):
    store = bench.store()
    heads = [store.artifact(bench.run(*birds, f"seed={seed}").run_id, "head.safetensors") for seed in (0, 1, 2)]
    assert len(set(heads)) == 3
    assert store.artifact(bench.run(*birds, "seed=0", force=True).run_id, "head.safetensors") == heads[0]


def test_conditions_are_paired(bench, birds):
    for split in ("hash", "stratified"):
        tests = []
        for condition in CONDITIONS:
            rows = table(bench.store(), bench.run(*birds, f"split={split}", f"preprocess={condition}"))
            tests.append([(row["clip"], row["part"]) for row in rows])
        assert tests[0] == tests[1] == tests[2]
        if split == "hash":
            for clip, part in tests[0]:
                assert part == hash_part("birds", clip.removesuffix(".wav"))


def test_runs_of_another_seed_are_of_the_same_cell(bench, birds):
    tags = [bench.run(*birds, f"seed={seed}", *more).tags for seed, more in ((0, []), (1, []), (1, ["head=logistic"]))]
    assert tags[0]["cell"] == tags[1]["cell"] != tags[2]["cell"]
    assert len({one["identity"] for one in tags}) == 3


@pytest.mark.parametrize("head", ["mlp", "linear", "one_vs_one"])
def test_a_sweep_over_steps_has_a_row_for_each(bench, birds, head):
    words = [("head=" + head, f"trainer.max_steps={steps}") for steps in (1, 20)]
    results = [JobResult(i, list(w), None, asdict(bench.run(*birds, *w)), 1.0) for i, w in enumerate(words)]
    rows = [line for line in comparison(results).splitlines() if line.startswith("birds")]
    assert [row.split()[-1] for row in rows] == ["trainer.max_steps=1", "trainer.max_steps=20"]
    assert len({result.outcome["run_id"] for result in results}) == 2


def test_a_head_without_randomness_has_one_run_for_all_seeds(bench, birds):
    first, again = (bench.run(*birds, "head=logistic", f"seed={seed}") for seed in (0, 1))
    assert (again.known, again.run_id) == (True, first.run_id)
    forests = [bench.run(*birds, "head=random_forest", "head.n_estimators=3", f"seed={seed}") for seed in (0, 1)]
    assert forests[0].run_id != forests[1].run_id


def test_all_classes_are_all_classes_in_any_order(bench, birds):
    first = bench.run(*birds, "seed=3")
    for keep in ("[owl,'zaun_könig']", "['zaun_könig',owl]"):
        again = bench.run(*birds, "seed=3", f"dataset.include_classes={keep}")
        assert (again.known, again.run_id) == (True, first.run_id)


def test_the_order_of_classes_is_that_of_the_outputs(bench, birds):
    (bench.folder / "birds" / "Zaun könig").rename(bench.folder / "birds" / "wren")
    outcomes = [
        bench.run(*birds, f"dataset.classes={{{order}}}") for order in ("owl: [], wren: []", "wren: [], owl: []")
    ]
    assert outcomes[0].run_id != outcomes[1].run_id
    columns = [list(table(bench.store(), outcome)[0])[-2:] for outcome in outcomes]
    assert columns == [["p_owl", "p_wren"], ["p_wren", "p_owl"]]


MATTERS_TO_FEATURES = [
    "dataset.start=0.01", "dataset.duration=0.05", "dataset.sample_rate=4000", "dataset.mono=left",
    "preprocess=unprocessed", "preprocess=augmented", "preprocess.levels_dbfs=[-1]", "spectrogram=mel",
    "spectrogram.height=100", "spectrogram.pixels_per_second=50", "spectrogram.reference=peak", "backbone.rows=5",
]  # fmt: skip
DOES_NOT = [
    "seed=1", "head=one_vs_one", "split=hash", "split.seed=4", "trainer=quick", "workers=1", "tracking.experiment=x",
    "paths.cache=c", "paths.data=d", "dataset.name=other", "dataset.on_unreadable=skip",
    "dataset.include_classes=[a,b]", "preprocess.name=x", "progress=true", "force=true",
]  # fmt: skip


def test_features_are_kept_by_what_makes_them_and_nothing_else(bench, birds):
    key = bench.configured(*birds).pipeline.key()
    for words in MATTERS_TO_FEATURES:
        assert bench.configured(*birds, words).pipeline.key() != key, words
    for words in DOES_NOT:
        assert bench.configured(*birds, words).pipeline.key() == key, words


def test_features_of_the_waveform_itself_do_not_depend_on_the_picture(bench, birds):
    def key(*words):
        return bench.configured(*birds, "backbone=marsyas", *words).pipeline.key()

    for words in ("spectrogram=mel", "spectrogram.height=100", "dataset.mono=left"):
        assert key(words) == key(), words
    for words in ("preprocess=unprocessed", "dataset.start=0.01", "backbone.max_frames=99"):
        assert key(words) != key(), words


def test_a_class_that_is_renamed_or_a_byte_that_changed_is_another_result(bench, birds):
    first = bench.run(*birds)
    path = next((bench.folder / "birds" / "owl").iterdir())
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    second = bench.run(*birds)
    assert not second.known
    (bench.folder / "birds" / "owl").rename(bench.folder / "birds" / "eule")
    third = bench.run(*birds)
    assert not third.known
    assert len({first.run_id, second.run_id, third.run_id}) == 3


def test_moving_the_folder_keeps_the_result(bench, birds):
    first = bench.run(*birds, "dataset.name=birds")
    (bench.folder / "birds").rename(bench.folder / "moved")
    again = bench.run("dataset=folder", f"dataset.root='{bench.folder / 'moved'}'", "dataset.name=birds")
    assert (again.known, again.run_id) == (True, first.run_id)


def test_an_error_leaves_a_failed_run_with_its_reason(bench, birds):
    (bench.folder / "birds" / "owl" / "00.wav").write_bytes(b"")
    with pytest.raises(UserError, match="1 of 40 files cannot be used"):
        bench.run(*birds)
    [run] = bench.store().runs()
    assert run.status == "FAILED"
    assert "00.wav: an empty file" in run.tags["reason"]
    assert run.tags["dataset"] == "birds"
    # It is no result: mended, the job runs.
    outcome = bench.run(*birds, "dataset.on_unreadable=skip")
    assert not outcome.known
    assert bench.store().get(outcome.run_id).metrics["clips/unusable"] == 1


def test_a_loss_that_explodes_is_a_failed_run_that_says_what_to_do(bench, birds):
    with pytest.raises(UserError, match=r"head\.learning_rate"):
        bench.run(*birds, "head.learning_rate=3e38")
    [run] = bench.store().runs()
    assert run.status == "FAILED"
    assert "learning_rate" in run.tags["reason"]


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_frozen_means_frozen_through_a_whole_job(bench, birds, engine):
    words = [
        *birds, "backbone=timm", "backbone.model=test_efficientnet", "backbone.weights=random", "backbone.size=32",
        f"backbone.engine={engine}", "backbone.device=cpu",
    ]  # fmt: skip
    experiment = bench.configured(*words)
    module = experiment.pipeline.backbone.network.module
    state = {name: value.clone() for name, value in module.state_dict().items()}
    norms = [name for name in state if "running_mean" in name or "num_batches_tracked" in name]
    assert len(norms) > 10
    assert not bench.run(*words).known
    assert bench.configured(*words).pipeline.backbone.network.module is module
    after = module.state_dict()
    assert set(after) == set(state)
    for name, value in state.items():
        assert torch.equal(after[name], value), name
    assert not module.training
    assert not any(parameter.requires_grad or parameter.grad is not None for parameter in module.parameters())


@pytest.mark.parametrize("head", ["linear", "mlp", "logistic", "random_forest", "one_vs_one"])
def test_every_head_makes_a_run(bench, birds, head):
    outcome = bench.run(*birds, f"head={head}")
    store = bench.store()
    card = json.loads(store.artifact(outcome.run_id, "head.json"))
    tensors = safetensors.numpy.load(store.artifact(outcome.run_id, "head.safetensors"))
    assert card["kind"] == head
    assert load_head(card["kind"], tensors).predict_proba(np.zeros((1, 16), np.float32)).shape == (1, 2)


def test_the_baseline_makes_a_run(bench, birds):
    outcome = bench.run(*birds, "backbone=marsyas", "head=random_forest")
    assert (outcome.tags["backbone"], outcome.tags["spectrogram"], outcome.tags["head"]) == (
        "marsyas", "none", bench.store().get(outcome.run_id).tags["head"],
    )  # fmt: skip


def test_a_relabelled_dataset_makes_a_run(bench, birds, caplog):
    with caplog.at_level(logging.WARNING):
        outcome = bench.run(*birds, "dataset.label=loudness", "dataset.loudness_classes=2", "preprocess=normalized")
    rows = table(bench.store(), outcome)
    assert Counter(row["label"] for row in rows) == {"loud1": 20, "loud2": 20}
    assert all(row["clip"].startswith(("owl/", "zaun_könig/")) for row in rows)
