"""A run packed as an MLflow model and loaded again: no pickle, nothing of it elsewhere, the same answers to the bit."""

import base64
import csv
import io
import json

import mlflow.pyfunc
import pandas as pd
import pytest
from mlflow.exceptions import MlflowException
from served_models import limits

from src.config import build
from src.errors import UserError
from src.predict.export import keep, pack, register
from src.predict.mlflow_model import opened
from src.tracking.checkpoint import load

NETWORK = [
    "backbone=timm", "backbone.model=test_efficientnet", "backbone.size=32", "backbone.engine=torch",
    "backbone.device=cpu",
]  # fmt: skip
TUNED = ["transfer=finetune", "transfer.steps=2", "transfer.batch_size=4"]


@pytest.fixture
def sounds(bench, write_clips):
    write_clips(bench.folder / "sounds", ["high", "low"], 10, seconds=0.2)
    return ["dataset=folder", f"dataset.root='{bench.folder / 'sounds'}'"]


@pytest.fixture
def packed(bench, sounds, tmp_path):
    """`packed(words)`: the model of a run made with them, where it is packed, and its store."""

    def make(*words):
        outcome, store = bench.run(*sounds, *words), bench.store()
        run = store.get(outcome.run_id)
        model = load(run, store, lambda settings: build.pipeline(settings, tmp_path))
        folder = tmp_path / "folder"
        folder.mkdir()
        return model, pack(model, store, folder, limits()), store

    return make


def frame(bench, clips) -> pd.DataFrame:
    root = bench.folder / "sounds"
    return pd.DataFrame({"audio": [base64.b64encode((root / clip).read_bytes()).decode() for clip in clips]})


def stored(store, run_id):
    return list(csv.DictReader(io.StringIO(store.artifact(run_id, "predictions.csv").decode())))


def weights_file(bench, sounds, tmp_path):
    """Weights of the small network in a file, as a person would have fetched them."""
    from src.backbone.state import write_safetensors

    settings = build.plain_group(bench.config(*sounds, *NETWORK, "backbone.weights=random"), "backbone")
    network = build.backbone(settings, tmp_path, tmp_path, 1).network
    write_safetensors(network.module, tmp_path / "mine.safetensors")
    return tmp_path / "mine.safetensors"


PICKLES = (".pkl", ".pickle", ".pth", ".joblib")


@pytest.mark.parametrize(
    "words",
    [[], ["backbone=marsyas", "head=random_forest"], [*NETWORK, "backbone.weights=random", *TUNED]],
    ids=["pixels", "marsyas", "finetuned"],
)
def test_it_answers_as_the_run_did(bench, packed, words):
    model, folder, store = packed(*words)
    rows = stored(store, model.run.run_id)[:3]
    # looked at before it is loaded: Python keeps what it compiles beside the code, unless told not to
    assert [p for p in folder.rglob("*") if p.suffix in (*PICKLES, ".pyc")] == []
    served = mlflow.pyfunc.load_model(str(folder))
    assert served.metadata.metadata["classes"] == ["high", "low"]
    assert served.metadata.metadata["sample_rate"] == "each file's own"
    assert served.metadata.metadata["commit"] == model.run.tags["git_commit"]
    assert served.metadata.signature.outputs.input_names() == ["label", "probabilities", "start", "end"]
    found = served.predict(frame(bench, [row["clip"] for row in rows]))
    for row, one in zip(rows, found, strict=True):
        assert one["label"] == row["predicted"]
        assert {name: str(value) for name, value in one["probabilities"].items()} == {
            "high": str(float(row["p_high"])), "low": str(float(row["p_low"])),
        }  # fmt: skip
    with pytest.raises(MlflowException, match="clip 0: not readable as audio"):
        served.predict(pd.DataFrame({"audio": ["aGVsbG8="]}))
    with pytest.raises(MlflowException, match=r"missing inputs \['audio'\]"):
        served.predict(pd.DataFrame({"sound": ["aGVsbG8="]}))
    assert len(served.predict(frame(bench, ["low/00.wav"]))) == 1
    assert [p for p in folder.rglob("*") if p.suffix in PICKLES] == []
    assert (folder / "code" / "src" / "predict" / "mlflow_model.py").is_file()
    assert "torch==" in (folder / "requirements.txt").read_text()
    assert "loader_module: mlflow.pyfunc.loaders.code_model" in (folder / "MLmodel").read_text()


def test_weights_go_with_it_and_others_in_their_place_are_refused(bench, sounds, packed, tmp_path):
    file = weights_file(bench, sounds, tmp_path)
    model, folder, store = packed(*NETWORK, f"backbone.weights='{file}'")
    file.unlink()
    build._loaded.cache_clear()
    held = folder / "artifacts" / "trained"
    again = opened(held, exact=True)
    rows = stored(store, model.run.run_id)

    inputs = [again.pipeline.prepare(bench.folder / "sounds" / row["clip"]).value for row in rows[:3]]
    found = [[str(value) for value in row] for row in again.classify(inputs)]
    assert found == [[row["p_high"], row["p_low"]] for row in rows[:3]]
    content = bytearray((held / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (held / "weights.safetensors").write_bytes(content)
    build._loaded.cache_clear()
    with pytest.raises(UserError, match=r"backbone\.weights: the run had"):
        opened(held, exact=True)
    (held / "head.safetensors").unlink()
    with pytest.raises(UserError, match=r"head\.safetensors: cannot be read"):
        opened(held, exact=True)


def test_weights_drawn_from_a_seed_are_drawn_again(packed):
    _, folder, _ = packed(*NETWORK, "backbone.weights=random")
    held = folder / "artifacts" / "trained"
    assert not (held / "weights.safetensors").exists()
    assert opened(held, exact=True).classes == ("high", "low")


def test_it_is_kept_with_its_run_and_registered(packed):
    model, folder, store = packed()
    place = keep(folder, model, store)
    assert b"python_function" in store.artifact(model.run.run_id, "served/MLmodel")
    name = model.run.tags["identity"]
    assert [register(name, place, model, store) for _ in range(2)] == ["1", "2"]
    version = store.client.get_model_version(name, "2")
    assert (version.run_id, version.source) == (model.run.run_id, place)
    assert json.loads(store.artifact(model.run.run_id, "served/artifacts/trained/run.json"))["name"] == model.run.name
    assert store.get(model.run.run_id).ended == model.run.ended
    with pytest.raises(UserError, match=r"name=.*: not taken by the registry"):
        register("", place, model, store)
