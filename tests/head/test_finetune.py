"""A network that learns as well: what it can, what it leaves alone, and the same bits for the same seed."""

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import soundfile
import torch

from src.backbone.network import blocks
from src.config import build
from src.errors import UserError
from src.head.finetune import Pictures
from src.head.transfer import FineTune
from src.tracking.checkpoint import Parts, assemble, load
from src.tracking.naming import cell_of, made_by

RATE = 4000
NETWORK = [
    "backbone=timm", "backbone.model=test_efficientnet", "backbone.weights=random", "backbone.size=32",
    "backbone.engine=torch", "backbone.device=cpu", "trainer.accelerator=cpu",
]  # fmt: skip
# The picture ends at the sound's highest frequencies and does not show how loud it is.
PICTURE = ["spectrogram=asperes", "spectrogram.reference=peak", "spectrogram.fmin=100", "spectrogram.fmax=1900"]
TUNED = ["transfer=finetune", "transfer.batch_norm=updated", "transfer.learning_rate=0.01"]


def parity(root, n, seed=0):
    """`odd` or `even`: how many of three tones are there. No band tells anything, nor any two together."""
    rng, time = np.random.default_rng(seed), np.arange(round(0.4 * RATE)) / RATE
    for number, label in enumerate(("even", "odd")):
        (root / label).mkdir(parents=True)
        for i in range(n):
            first, second = i % 2, i // 2 % 2
            there = (first, second, (first + second + number) % 2)
            tones = zip(there, (200, 500, 1250), strict=True)
            wave = sum(on * np.sin(2 * np.pi * hz * rng.uniform(0.95, 1.05) * time) for on, hz in tones)
            wave = wave + rng.uniform(0.05, 0.3) * rng.standard_normal(len(time))
            soundfile.write(root / label / f"{i:02d}.wav", (0.2 * wave).astype(np.float32), RATE)


@pytest.fixture
def tones(bench):
    """Overrides for a network on a task of ten clips a class."""
    parity(bench.folder / "tones", 10)
    return ["dataset=folder", f"dataset.root='{bench.folder / 'tones'}'", *NETWORK, *PICTURE]


def network_of(store, outcome):
    return safetensors.torch.load(store.artifact(outcome.run_id, "network.safetensors"))


def started(bench, words):
    return bench.configured(*words).pipeline.backbone.copy().module


@pytest.mark.slow
def test_it_learns_what_a_head_on_frozen_random_weights_cannot(bench):
    parity(bench.folder / "tones", 60)
    words = ["dataset=folder", f"dataset.root='{bench.folder / 'tones'}'", *NETWORK, *PICTURE, "split=kfold"]
    frozen = bench.run(*words, "trainer.max_steps=400", "transfer=frozen")
    slower = ["trainer.max_steps=400", *TUNED, "transfer.steps=160", "transfer.batch_size=24"]
    tuned = bench.run(*words, *slower)
    assert frozen.test_clips == tuned.test_clips == 24
    # Measured 0.67, and 0.92 to 0.96 over three seeds: a clip more or two less of 24 is left to another processor.
    assert frozen.accuracy <= 0.75
    assert tuned.accuracy >= 0.83
    run = bench.store().get(tuned.run_id)
    assert (frozen.tags["transfer"], tuned.tags["transfer"]) == ("frozen", "finetune all")
    assert frozen.tags["weights"] == tuned.tags["weights"]  # what both began with: the cells are compared
    curve = bench.store().client.get_metric_history(tuned.run_id, "validation/accuracy")
    assert [point.step for point in curve] == [50, 100, 150, 160]
    assert run.metrics["seconds/finetune"] > 0
    again = bench.run(*words, *slower)
    assert (again.known, again.run_id) == (True, tuned.run_id)


def test_a_tuned_run_is_opened_again_to_the_bit_without_the_weights_it_began_with(bench, tones, tmp_path):
    module = started(bench, tones)
    file = tmp_path / "begin.safetensors"
    safetensors.torch.save_file({name: value.contiguous() for name, value in module.state_dict().items()}, file)
    words = [word for word in tones if "weights" not in word]
    outcome = bench.run(*words, f"backbone.weights={file}", *TUNED, "transfer.steps=3")
    file.unlink()
    store = bench.store()
    model = load(store.get(outcome.run_id), store, lambda settings: build.pipeline(settings, tmp_path))
    assert model.pipeline.backbone.weights.startswith("file begin ")
    assert ", fine-tuned " in model.pipeline.backbone.weights
    rows = list(csv.DictReader(io.StringIO(store.artifact(outcome.run_id, "predictions.csv").decode())))
    for row in rows[::5]:
        value = model.pipeline.prepare(bench.folder / "tones" / row["clip"]).value
        assert [str(p) for p in model.classify([value])[0]] == [row[f"p_{label}"] for label in model.classes]


def test_a_damaged_network_is_an_error(bench, tones):
    outcome = bench.run(*tones, *TUNED, "transfer.steps=1")
    store = bench.store()
    run = store.get(outcome.run_id)
    parts = Parts.read(lambda name: store.artifact(run.run_id, name))

    def opened(network):
        return assemble(run, replace(parts, network=network), lambda settings: build.pipeline(settings, Path()))

    with pytest.raises(UserError, match=r"network\.safetensors: damaged"):
        opened(parts.network[:-1])
    changed = bytearray(parts.network)
    changed[-1] ^= 64
    with pytest.raises(UserError, match=r"backbone\.weights: the run had"):
        opened(bytes(changed))


@pytest.mark.parametrize("norm", ["fixed", "updated"])
def test_blocks_that_are_not_trained_stay_as_they_are(bench, tones, norm):
    words = [*tones, *TUNED, "transfer.steps=3", "transfer.blocks=2", f"transfer.batch_norm={norm}"]
    outcome = bench.run(*words)
    assert outcome.tags["transfer"] == "finetune last 2"
    before, after = started(bench, words), network_of(bench.store(), outcome)
    groups = blocks(before, "test_efficientnet")
    assert len(groups) == 6
    trained = {name for group in groups[-2:] for name in group}
    owners = {name.rpartition(".")[0] for name in trained}
    for name, value in before.state_dict().items():
        statistics = "running" in name or "num_batches" in name
        inside = name in trained or (statistics and name.rpartition(".")[0] in owners)
        changes = inside and not (statistics and norm == "fixed")
        assert torch.equal(value, after[name]) != changes, name


def test_all_blocks_learn(bench, tones):
    words = [*tones, *TUNED, "transfer.steps=20", "transfer.validate_every=5"]
    outcome = bench.run(*words)
    losses = bench.store().client.get_metric_history(outcome.run_id, "train/loss")
    assert losses[-1].value < 0.8 * losses[0].value
    before, after = started(bench, words), network_of(bench.store(), outcome)
    assert not [name for name, value in before.named_parameters() if torch.equal(value, after[name])]


def test_the_same_seed_gives_the_same_bits_and_another_one_does_not(bench, tones):
    words = [*tones, *TUNED, "transfer.steps=4"]
    outcomes = [bench.run(*words), bench.run(*words, force=True), bench.run(*words, "seed=1")]
    for name in ("network.safetensors", "head.safetensors", "predictions.csv"):
        first, again, other = (bench.store().artifact(outcome.run_id, name) for outcome in outcomes)
        assert first == again
        assert first != other


def test_the_frozen_network_is_left_alone_by_a_tuning_in_the_same_process(bench, tones):
    first = bench.run(*tones)
    bench.run(*tones, *TUNED, "transfer.steps=2")
    again = bench.run(*tones, force=True)
    files = [bench.store().artifact(outcome.run_id, "predictions.csv") for outcome in (first, again)]
    assert files[0] == files[1]


def test_how_it_would_be_trained_means_nothing_to_a_frozen_network(bench):
    """One sweep can have both: `transfer=frozen,finetune transfer.steps=100`."""
    words = ["dataset=folder", "dataset.root=birds"]
    plain, other = (
        bench.configured(*words, *more) for more in ([], ["transfer=frozen", "transfer.steps=100", "transfer.blocks=2"])
    )
    assert plain.settings_digest == other.settings_digest


def test_reports_part_what_was_trained(bench):
    def digest(*words):
        return bench.configured("dataset=folder", "dataset.root=birds", *words).settings_digest

    assert digest("transfer=finetune") != digest()
    assert digest("transfer=finetune") == digest("transfer=finetune", "transfer.validate_every=7")
    assert digest("transfer=finetune") != digest("transfer=finetune", "transfer.blocks=7")
    tags = {
        "dataset": "birds", "head": "linear", "spectrogram": "asperes", "origin": "recorded", "backbone": "pixels",
        "preprocess": "normalized", "weights": "none", "split": "hash",
    }  # fmt: skip
    assert cell_of(tags) == cell_of({**tags, "transfer": "frozen"}) != cell_of({**tags, "transfer": "finetune all"})
    assert "finetune last 2" in made_by({**tags, "transfer": "finetune last 2"})
    assert "frozen" not in made_by({**tags, "transfer": "frozen"})


def test_what_has_no_layers_is_refused_before_anything_is_computed(bench, tones):
    with pytest.raises(UserError, match=r"transfer=finetune: backbone=pixels has no layers to train"):
        bench.run("dataset=folder", f"dataset.root='{bench.folder / 'tones'}'", "transfer=finetune")
    with pytest.raises(UserError, match=r"head=random_forest has no layers"):
        bench.run(*tones, *TUNED, "head=random_forest")
    assert bench.store().runs() == []
    with pytest.raises(UserError, match=r"transfer\.blocks: got 9, but test_efficientnet has 6 blocks"):
        bench.run(*tones, *TUNED, "transfer.blocks=9")
    with pytest.raises(UserError, match=r"transfer\.learning_rate=1e\+30: the loss was no longer finite at step 2"):
        bench.run(*tones, *TUNED, "transfer.learning_rate=1e30", "transfer.warmup=0")
    assert {run.status for run in bench.store().runs()} == {"FAILED"}


@pytest.mark.parametrize(
    ("key", "value"),
    [("blocks", 0), ("blocks", "some"), ("steps", 0), ("learning_rate", 0.0), ("warmup", 1.0), ("batch_norm", "off")],
)
def test_wrong_settings_are_named(key, value):
    good = {
        "blocks": "all", "steps": 1, "batch_size": 1, "learning_rate": 1.0, "head_learning_rate": 0.0,
        "weight_decay": 0.0, "warmup": 0.0, "batch_norm": "fixed", "validate_every": 1,
    }  # fmt: skip
    assert FineTune(**good).name == "finetune all"
    with pytest.raises(UserError, match=rf"transfer\.{key}: got"):
        FineTune(**{**good, key: value})


def test_pictures_are_made_once_and_a_damaged_one_again(bench, tones):
    pipeline = bench.configured(*tones).pipeline
    pictures = Pictures.of(bench.folder / "cache", pipeline, pipeline.backbone)
    bench.run(*tones, *TUNED, "transfer.steps=1")
    files = sorted(pictures.folder.glob("*.pixels"))
    assert len(files) == 18  # of 20 clips, 2 test
    small = pictures.of_clip(files[0].stem)
    assert (small.shape, small.dtype) == ((1, 32, 32), np.uint8)
    content = bytearray(files[0].read_bytes())
    content[-1] ^= 1
    files[0].write_bytes(content)
    times = {file: file.stat().st_mtime_ns for file in files}
    bench.run(*tones, *TUNED, "transfer.steps=2")
    assert [file for file in files if file.stat().st_mtime_ns != times[file]] == files[:1]
    np.testing.assert_array_equal(pictures.of_clip(files[0].stem), small)


def test_a_picture_is_what_the_network_is_shown_within_half_a_level(bench, tones):
    pipeline = bench.configured(*tones).pipeline
    network = pipeline.backbone
    picture = np.random.default_rng(0).integers(0, 256, (50, 70, 3), np.uint8)
    mean, deviation = (np.array(values, np.float32)[:, None, None] for values in network.scaling)
    shown = network.prepare(picture) * deviation + mean
    # half a level by rounding, and float32's own
    assert np.abs(network.pixels(picture) - shown).max() <= 0.5 + 1e-3


@pytest.mark.parametrize("head", ["mlp", "logistic"])
def test_other_heads_with_layers_are_tuned_too(bench, tones, head):
    before, after = (bench.run(*tones, f"head={head}", *words) for words in ([], [*TUNED, "transfer.steps=2"]))
    store = bench.store()
    one, other = (safetensors.numpy.load(store.artifact(o.run_id, "head.safetensors")) for o in (before, after))
    assert one.keys() == other.keys()
    assert not np.array_equal(one["weight.0"], other["weight.0"])
    np.testing.assert_array_equal(one["mean"], other["mean"])


def test_pictures_are_kept_apart_by_condition_and_by_everything_else_that_changes_them(bench, tones):
    def folder(*words):
        pipeline = bench.configured(*tones, *words).pipeline
        return Pictures.of(bench.folder / "cache", pipeline, pipeline.backbone).folder

    changes = [
        ["preprocess=normalized"], ["preprocess=augmented"], ["spectrogram.reference=full_scale"],
        ["dataset.mono=left"], ["dataset.start=0.1"], ["dataset.duration=0.2"], ["backbone.size=48"],
    ]  # fmt: skip
    folders = [folder("preprocess=unprocessed"), *(folder("preprocess=unprocessed", *words) for words in changes)]
    assert len(set(folders)) == len(folders)


def test_each_seed_has_batches_of_its_own(bench, tones):
    """One step from the same network and the same head differs by the batch alone."""
    one, other = (
        bench.run(*tones, "head=logistic", *TUNED, "transfer.steps=1", f"seed={seed}", "transfer.batch_size=4")
        for seed in (0, 1)
    )
    states = [network_of(bench.store(), outcome) for outcome in (one, other)]
    assert any(not torch.equal(states[0][name], states[1][name]) for name in states[0])


def test_the_curve_is_drawn_on_validation_clips(bench, write_clips, tone):
    """Training and validation clips of a class share a tone, its test clips have the other class's."""
    root = bench.folder / "turned"
    write_clips(root, ["a", "b"], 20, seconds=0.4, rate=RATE)
    words = [
        "dataset=folder",
        f"dataset.root='{root}'",
        *NETWORK,
        *PICTURE,
        "split=stratified",
        "trainer.max_steps=200",
    ]
    store, first = bench.store(), bench.run(*words)
    rows = csv.DictReader(io.StringIO(store.artifact(first.run_id, "predictions.csv").decode()))
    for row in rows:
        hertz, amplitude = {"a": (300, 0.5), "b": (1200, 0.5)}[row["label"]]
        if row["part"] == "test":
            hertz, amplitude = {300: 1200, 1200: 300}[hertz], 0.45  # no two files are the same
        number = int(Path(row["clip"]).stem)
        soundfile.write(root / row["clip"], tone(hertz * (1 + number / 1000), 0.4, RATE, amplitude=amplitude), RATE)
    still = ["transfer.learning_rate=1e-9", "transfer.head_learning_rate=1e-9"]  # stays as the frozen one was
    tuned = bench.run(*words, "transfer=finetune", "transfer.steps=4", "transfer.validate_every=1", *still)
    curve = store.client.get_metric_history(tuned.run_id, "validation/accuracy")
    assert tuned.accuracy == 0.0
    assert [point.value for point in curve] == [1.0] * len(curve)
    assert len(curve) >= 4
