"""Whole runs in 8 bits: their features and their identity are their own, and the model comes back to the bit."""

import base64
import copy
import csv
import io
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from src import calibration, configure
from src.errors import UserError
from src.recipe import Timer
from src.trained.loading import load

NETWORK = [
    "backbone=timm", "backbone.model=test_efficientnet", "backbone.weights=random", "backbone.size=32",
    "trainer.accelerator=cpu",
]  # fmt: skip
INT8 = [*NETWORK, "backbone.precision=int8"]
TUNED = ["transfer=finetune", "transfer.steps=2", "transfer.batch_size=4"]


@pytest.fixture(autouse=True)
def few_sounds(monkeypatch):
    """Enough for a network of 32 x 32 pixels with random weights."""
    monkeypatch.setattr(calibration, "SOUNDS", 4)


@pytest.fixture
def sounds(bench, write_clips):
    write_clips(bench.folder / "sounds", ["high", "low"], 10, seconds=0.2)
    return ["dataset=folder", f"dataset.root='{bench.folder / 'sounds'}'"]


def stored(store, run_id):
    return list(csv.DictReader(io.StringIO(store.artifact(run_id, "predictions.csv").decode())))


@pytest.mark.parametrize("more", [[], TUNED], ids=["frozen", "finetuned"])
def test_every_stored_probability_comes_back_to_the_bit(bench, sounds, more):
    outcome, store = bench.run(*sounds, *INT8, *more), bench.store()
    configure._loaded.cache_clear()  # so that the network is built and calibrated again
    model = load(store.get(outcome.run_id), store, lambda settings: configure.recipe(settings, bench.folder))
    assert model.recipe.backbone.identity["precision"] == "int8"
    rows = stored(store, outcome.run_id)
    inputs = [model.recipe.prepare(bench.folder / "sounds" / row["clip"], Timer())[0] for row in rows]
    found = np.concatenate([model.classify([one]) for one in inputs])
    assert [[str(value) for value in row] for row in found] == [[row["p_high"], row["p_low"]] for row in rows]


def test_another_version_of_the_quantiser_is_told(bench, sounds):
    outcome, store = bench.run(*sounds, *INT8), bench.store()

    def elsewhere(settings):
        recipe = configure.recipe(settings, bench.folder)
        other = copy.copy(recipe.backbone)
        other.identity = {**recipe.backbone.identity, "quantiser": "nncf 9.9"}
        return replace(recipe, backbone=other)

    for exact in (True, False):
        with pytest.raises(UserError, match=r"quantiser: the run had nncf .*, here it is nncf 9\.9\. Install nncf 3"):
            load(store.get(outcome.run_id), store, elsewhere, exact=exact)


def test_the_precision_is_part_of_the_runs_identity_and_of_the_caches_key(bench, sounds):
    plain, quick = (bench.configured(*sounds, *words) for words in (NETWORK, INT8))
    assert plain.identity("data") != quick.identity("data")
    had, has = plain.recipe.key(), quick.recipe.key()
    assert {**had, "backbone": {}} == {**has, "backbone": {}}
    assert has["backbone"] == {
        **had["backbone"], "precision": "int8", "calibration": "4 sounds, version 1",
        "quantiser": has["backbone"]["quantiser"],
    }  # fmt: skip


def test_each_way_of_drawing_has_a_calibration_of_its_own_and_float32_needs_none(bench, sounds):
    louder = "preprocess=augmented"
    one, same, other = (bench.configured(*sounds, *INT8, *more).recipe for more in ([], ["seed=1"], [louder]))
    assert one.backbone is same.backbone
    assert one.backbone is not other.backbone
    plain, drawn_otherwise = (bench.configured(*sounds, *NETWORK, *more).recipe for more in ([], [louder]))
    assert plain.backbone is drawn_otherwise.backbone


def test_nothing_is_calibrated_where_all_features_are_known(bench, sounds, monkeypatch):
    bench.run(*sounds, *INT8, "seed=0")
    configure._loaded.cache_clear()
    monkeypatch.setattr(calibration, "sound", lambda rng: pytest.fail("drawn"))
    assert bench.run(*sounds, *INT8, "seed=1").accuracy >= 0


def test_auto_hands_its_precision_on(bench, sounds, monkeypatch):
    from src.backbone.auto import Decision

    monkeypatch.setattr("src.configure.decide", lambda *_, **__: Decision("efficientnet_lite0", None, ""))
    found = bench.configured(*sounds, "backbone=auto", "backbone.precision=int8").recipe.backbone
    assert (found.name, found.identity["precision"]) == ("efficientnet_lite0", "int8")


def test_served_it_answers_as_the_run_did_and_names_what_it_takes(bench, sounds, tmp_path):
    import mlflow.pyfunc

    from src.served.limits import Limits
    from src.served.packing import pack

    outcome, store = bench.run(*sounds, *INT8), bench.store()
    model = load(store.get(outcome.run_id), store, lambda settings: configure.recipe(settings, tmp_path))
    folder = tmp_path / "folder"
    folder.mkdir()
    packed = pack(model, store, folder, Limits(1.0, 3, 20.0, 8.0, exact=True))
    wanted = (packed / "requirements.txt").read_text()
    assert "nncf==" in wanted
    assert "torch==" in wanted
    assert "-r " not in wanted
    row = stored(store, outcome.run_id)[0]
    audio = base64.b64encode((bench.folder / "sounds" / row["clip"]).read_bytes()).decode()
    (found,) = mlflow.pyfunc.load_model(str(packed)).predict(pd.DataFrame({"audio": [audio]}))
    assert {name: str(value) for name, value in found["probabilities"].items()} == {
        "high": str(float(row["p_high"])), "low": str(float(row["p_low"])),
    }  # fmt: skip


def test_a_command_on_another_engine_is_told_what_to_do(run_train, tiny, tmp_path, write_clips):
    write_clips(tmp_path / "sounds", ["high", "low"], 5)
    words = [word for word in tiny if not word.startswith("backbone")]
    done = run_train(["dataset=folder", "dataset.root=sounds", *words, *INT8, "backbone.engine=torch"], tmp_path)
    assert done.returncode == 1
    assert "backbone.precision: got int8 with engine=torch; only OpenVINO computes in int8" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.slow
def test_trained_and_asked_as_commands(run_train, tiny, tmp_path, write_clips):
    write_clips(tmp_path / "sounds", ["high", "low"], 10)
    words = [word for word in tiny if not word.startswith("backbone")]
    trained = run_train(["dataset=folder", "dataset.root=sounds", *words, *INT8], tmp_path)
    assert trained.returncode == 0, trained.stderr
    assert "calibrated for int8 in" in trained.stdout + trained.stderr
    asked = run_train(["run=best", "audio=sounds"], tmp_path, "src.predict")
    assert asked.returncode == 0, asked.stderr
    assert "nncf:" not in trained.stdout + trained.stderr + asked.stdout + asked.stderr
