"""A sweep in a file: the same runs elsewhere, nothing of this machine, nothing that a false or hostile file can do."""

import hashlib
import json
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import yaml

from src.errors import UserError
from src.sweep.bundle import export, import_runs
from src.tracking.ledger import Ledger
from src.tracking.model_card import ModelCard
from src.tracking.store import RunRecord, Store, TrackingSettings

IDENTITIES = ["0" * 32, "1" * 32]
HOME = "/srv/My Sounds (2024)/user name"
PARAMS = {
    "paths.data": f"{HOME}/data",
    "dataset.root": f"{HOME}/clips",
    "backbone.weights": "/opt/weights/net.safetensors",
    "backbone._target_": "src.backbone.pixels.Pixels",
    "head._target_": "src.head.linear.Linear",
    "dataset.include_classes": "['a/srv/b', 'c', '/srvs']",
    "tracking.uri": "http://user:secret@host:5000",
}
NOTES = {
    "unusable": [f"{HOME}/clips/a/x.wav: not audio", "/mnt/disk1/y.wav: empty", "a/00.wav"],
    "ratio": "1/2 or 3 /4",
}
TAGS = {
    "dataset": "clips", "preprocess": "normalized", "spectrogram": "asperes", "backbone": "pixels", "weights": "none",
    "head": "linear", "transfer": "frozen", "split": "hash", "seed": "0", "origin": "recorded",
    "cell": "c" * 32, "settings": "e" * 32,
    "data_digest": "d" * 32, "result_version": "1", "provenance": f"recordings in {HOME}/clips",
}  # fmt: skip
# Two of three right.
PREDICTIONS = (
    "clip,group,part,label,predicted,duration,rms,p_a,p_b\n"
    "a/0.wav,,train,a,a,0.1,0.1,0.9,0.1\n"
    "a/1.wav,,test,a,a,0.1,0.1,0.9,0.1\n"
    "b/0.wav,,test,b,b,0.1,0.1,0.1,0.9\n"
    "b/1.wav,,test,b,a,0.1,0.1,0.9,0.1\n"
)
METRICS = {"test/accuracy": 2 / 3, "clips/test": 3, "test/recall/a": 1, "test/recall/b": 0.5, "seconds/fit": 0.2}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run's artifacts."""
    folder = tmp_path_factory.mktemp("files")
    settings = {
        "backbone": {"_target_": "src.backbone.pixels.Pixels"},
        "transfer": {"_target_": "src.head.transfer.Frozen"},
        "dataset": {"root": f"{HOME}/clips"},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(settings))
    (folder / "notes.json").write_text(json.dumps(NOTES))
    (folder / "model.json").write_text(ModelCard({}, settings["backbone"], ("a", "b"), "linear", 0.1, 0.1).text())
    (folder / "predictions.csv").write_text(PREDICTIONS)
    (folder / "head.safetensors").write_bytes(safetensors.numpy.save({"weight": np.zeros((2, 2), np.float32)}))
    return folder


def computed(database: Path, files: Path, experiment: str) -> Ledger:
    """A ledger of two finished runs."""
    ledger = Ledger(Store(TrackingSettings(None, experiment), database))
    for number, identity in enumerate(IDENTITIES):
        tags = {**TAGS, "seed": str(number)}
        with ledger.job(identity, force=False) as job, job.run(f"run {number}", tags) as run:
            run.log(metrics=METRICS, params=PARAMS)
            run.artifacts(files)
    return ledger


@pytest.fixture(scope="module")
def here(database: Path, files: Path) -> Ledger:
    return computed(database, files, "bundle-from")


@pytest.fixture(scope="module")
def sweep(here: Ledger, tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("exported") / "sweep.zip"
    assert export(file, [(here.store, run) for run in here.store.runs()]) == 2
    return file


@pytest.fixture
def exported(sweep: Path, tmp_path: Path) -> Path:
    """What was exported, for this test to change."""
    return Path(shutil.copy(sweep, tmp_path / "sweep.zip"))


@pytest.fixture
def there(database: Path, request: pytest.FixtureRequest) -> Ledger:
    """An empty ledger."""
    name = hashlib.sha256(request.node.name.encode()).hexdigest()[:16]
    return Ledger(Store(TrackingSettings(None, f"bundle-{name}"), database))


def finished(ledger: Ledger, identity: str) -> RunRecord:
    run = ledger.finished(identity)
    assert run is not None
    return run


def test_the_same_runs_elsewhere_once(here: Ledger, there: Ledger, exported: Path) -> None:
    assert import_runs(exported, there) == (2, 0)
    assert import_runs(exported, there) == (0, 2)
    for identity in IDENTITIES:
        one, two = finished(here, identity), finished(there, identity)
        assert two.metrics == one.metrics
        assert (two.name, two.started, two.ended) == (one.name, one.started, one.ended)
        assert two.tags["imported"]
        assert there.store.artifact(two.run_id, "predictions.csv").decode() == PREDICTIONS
        assert there.store.missing(two) == []
        assert set(two.files) == set(one.files)
    assert len(there.store.runs()) == 2


def test_no_path_and_no_password_of_this_machine(there: Ledger, exported: Path) -> None:
    with zipfile.ZipFile(exported) as archive:
        for info in archive.infolist():
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
            if not info.filename.endswith((".csv", ".safetensors")):
                content = archive.read(info).decode()
                lacking = ("/srv/My", "user name", "/opt", "/mnt", str(Path.home()), "secret")
                assert not any(part in content for part in lacking)
    import_runs(exported, there)
    run = finished(there, IDENTITIES[0])
    assert run.params == {
        "dataset.root": "clips",
        "backbone.weights": "net.safetensors",
        "backbone._target_": "src.backbone.pixels.Pixels",
        "head._target_": "src.head.linear.Linear",
        "dataset.include_classes": "['a/srv/b', 'c', '/srvs']",
        "tracking.uri": "http://user:***@host:5000",
    }
    assert run.tags["provenance"] == "recordings in clips"
    notes = json.loads(there.store.artifact(run.run_id, "notes.json"))
    assert notes == {"unusable": ["a/x.wav: not audio", "y.wav: empty", "a/00.wav"], "ratio": "1/2 or 3 /4"}


def test_a_sweep_exported_twice_is_the_same_file(here: Ledger, exported: Path, tmp_path: Path) -> None:
    runs = here.store.runs()
    assert export(tmp_path / "again.zip", [(here.store, run) for run in (*runs, runs[0])]) == 2
    assert (tmp_path / "again.zip").read_bytes() == exported.read_bytes()


def rewritten(file: Path, change: Callable[[Any, dict[str, bytes]], Any]) -> Path:
    """The file with other content: `change(list, members)` changes the list of runs, or the members by name."""
    other = file.with_name("other.zip")
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    content = json.loads(members.pop("sweep.json"))
    changed_to = change(content, members)
    content = content if changed_to is None else changed_to
    with zipfile.ZipFile(other, "w") as changed:
        for name, data in {**members, "sweep.json": json.dumps(content).encode()}.items():
            changed.writestr(name, data)
    return other


def in_run(**parts: Any) -> Callable[[Any, dict[str, bytes]], None]:
    """Changes within the first run: `tags={"seed": "x"}`, None to remove one; `metrics=` replaces points by name."""

    def change(content: Any, _: dict[str, bytes]) -> None:
        run = content["runs"][0]["run"]
        for part, values in parts.items():
            if part == "metrics":
                points = {point[0]: point for point in run["metrics"]} | {k: [k, *v] for k, v in values.items() if v}
                run["metrics"] = [point for key, point in points.items() if values.get(key, True)]
            elif isinstance(values, dict):
                run[part] = {key: value for key, value in {**run[part], **values}.items() if value is not None}
            else:
                run[part] = values

    return change


def with_file(name: str, data: bytes, *, listed: bool = True) -> Callable[[Any, dict[str, bytes]], None]:
    """Another content of an artifact of the first run, or one more."""

    def change(content: Any, members: dict[str, bytes]) -> None:
        members[f"runs/0/{name}"] = data
        if listed:
            files = content["runs"][0]["files"]
            files[name] = [len(data), hashlib.sha256(data).hexdigest()[:32]]
            content["runs"][0]["run"]["tags"]["artifacts"] = json.dumps(files)

    return change


def without_file(content: Any, members: dict[str, bytes]) -> None:
    del members["runs/0/predictions.csv"]


def twice(content: Any, members: dict[str, bytes]) -> None:
    content["runs"].append(content["runs"][0])
    members |= {name.replace("runs/0", "runs/2"): data for name, data in members.items() if name.startswith("runs/0")}


FALSE = {
    "another format": lambda content, _: content | {"format": 1},
    "no list": lambda *_: [],
    "no runs": lambda *_: {"format": 2},
    "no identity": in_run(tags={"identity": None}),
    "an identity that is a path": in_run(tags={"identity": "../../../etc/passwd"}),
    "the same run twice": twice,
    "no dataset": in_run(tags={"dataset": None}),
    "no tags": in_run(tags=dict.fromkeys((*TAGS, "identity"))),
    "an origin of its own": in_run(tags={"origin": "dreamt"}),
    "a seed that is no number": in_run(tags={"seed": "zero"}),
    "a digest that is none": in_run(tags={"data_digest": "d" * 31}),
    "no result": in_run(metrics={"test/accuracy": None}),
    "no count of clips": in_run(metrics={"clips/test": None}),
    "nan": in_run(metrics={"test/accuracy": ["nan", 1, 0]}),
    "nan on a curve": in_run(metrics={"validation/loss": ["nan", 1, 0]}),
    "infinity": in_run(metrics={"train/loss": ["inf", 1, 0]}),
    "more than all right": in_run(metrics={"test/accuracy": ["7.5", 1, 0]}),
    "less than none right": in_run(metrics={"test/recall/a": ["-0.1", 1, 0]}),
    "half a clip": in_run(metrics={"clips/test": ["3.5", 1, 0]}),
    "negative time": in_run(metrics={"seconds/fit": ["-1", 1, 0]}),
    "no number": in_run(metrics={"test/accuracy": ["__import__('os')", 1, 0]}),
    "an accuracy that its predictions do not give": in_run(metrics={"test/accuracy": ["0.9", 1, 0]}),
    "another number of clips": in_run(metrics={"clips/test": ["30", 1, 0]}),
    "a time that is none": in_run(started="yesterday"),
    "an end before its start": in_run(started=10**12, ended=10**11),
    "escape codes in a run's name": in_run(name="\x1b]0;title\x07"),
    "escape codes in a tag": in_run(tags={"dataset": "clips\x1b[2J"}),
    "a name that is written backwards": in_run(tags={"backbone": "\u202esdrawkcab"}),
    "two lines in a tag": in_run(tags={"dataset": "clips\n2 of 2 jobs finished"}),
    "escape codes in a param": in_run(params={"dataset.label": "\x9b31m"}),
    "escape codes in a metric's name": in_run(metrics={"test/recall/\x1b[31m": ["1", 1, 0]}),
    "a metric's name that climbs": in_run(metrics={"../../x": ["1", 1, 0]}),
    "a metric without a name": in_run(metrics={"": ["1", 1, 0]}),
    "a value longer than MLflow keeps": in_run(tags={"dataset": "x" * 8001}),
    "a class of another program": in_run(params={"backbone._target_": "os.system"}),
    "settings that name another program's class": with_file(
        "config.yaml", b"backbone: {_target_: subprocess.Popen}\ntransfer: {_target_: src.head.transfer.Frozen}\n"
    ),
    "an artifact that is not there": without_file,
    "an artifact of other content": with_file("notes.json", b"{}", listed=False),
    "an artifact that is a program": with_file("served/model.py", b"import os"),
    "an artifact that is not listed": with_file("more.txt", b"x", listed=False),
    "escape codes in an artifact's name": with_file("a\x1b[31m.txt", b"x"),
    "predictions that are none": with_file("predictions.csv", b"clip\nx\n"),
    "a head that is none": with_file("head.safetensors", b"\x80\x04."),
    "other classes than its predictions": with_file(
        "model.json", ModelCard({}, {}, ("a", "c"), "linear", 0.1, 0.1).text().encode()
    ),
}


@pytest.mark.parametrize("what", FALSE)
def test_a_file_that_is_false_changes_nothing(there: Ledger, exported: Path, what: str) -> None:
    before = sorted(there.store.home.rglob("*"))
    with pytest.raises(UserError, match=r"other\.zip: no sweep that action=export wrote") as error:
        import_runs(rewritten(exported, FALSE[what]), there)
    assert str(error.value).isprintable()
    assert there.store.runs() == []
    assert sorted(there.store.home.rglob("*")) == before


def test_one_false_run_keeps_out_the_others(there: Ledger, exported: Path) -> None:
    def change(content: Any, _: dict[str, bytes]) -> None:
        content["runs"][1]["run"]["tags"]["origin"] = "dreamt"

    with pytest.raises(UserError, match="origin"):
        import_runs(rewritten(exported, change), there)
    assert there.store.runs() == []


def test_members_that_would_land_elsewhere(there: Ledger, exported: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(exported, "a") as archive:
        archive.writestr("../../outside.txt", b"x")
    with pytest.raises(UserError, match="would land outside"):
        import_runs(exported, there)
    assert not list(tmp_path.rglob("outside.txt"))
    assert there.store.runs() == []


def test_more_than_a_file_of_its_size_can_hold(there: Ledger, exported: Path) -> None:
    with zipfile.ZipFile(exported, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("runs/0/zeros.txt", bytes(80 << 20))
    with pytest.raises(UserError, match="made to fill disks"):
        import_runs(exported, there)
    assert there.store.runs() == []


def test_no_file_and_no_archive(there: Ledger, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.zip: not found; expected a file that action=export wrote"):
        import_runs(tmp_path / "none.zip", there)
    (tmp_path / "text.zip").write_bytes(b"PK nothing")
    with pytest.raises(UserError, match="damaged, or no zip"):
        import_runs(tmp_path / "text.zip", there)


def test_tags_of_the_store_are_not_taken_from_a_file(there: Ledger, exported: Path) -> None:
    tags = {"mlflow.note.content": "<script>", "delivered.0": "x", "pid": "1"}
    import_runs(rewritten(exported, in_run(tags=tags)), there)
    found = {key for run in there.store.runs() for key in run.tags}
    assert not found & {"mlflow.note.content", "delivered.0"}


@pytest.mark.parametrize("damage", ["gone", "cut", "changed"])
def test_lost_artifacts_are_named_and_nothing_is_exported(
    database: Path, files: Path, tmp_path: Path, damage: str
) -> None:
    ledger = computed(database, files, f"bundle-lost-{damage}")
    store, run = ledger.store, finished(ledger, IDENTITIES[0])
    [file] = (store.home / "artifacts").rglob(f"{run.run_id}/artifacts/predictions.csv")
    if damage == "gone":
        file.unlink()
    else:
        file.write_text(PREDICTIONS[:-9] if damage == "cut" else PREDICTIONS.replace("b,b", "b,a"))
    with pytest.raises(UserError, match=rf"run {run.run_id}.*predictions\.csv"):
        export(tmp_path / "lost.zip", [(store, one) for one in store.runs()])
    assert not (tmp_path / "lost.zip").exists()


def test_a_run_that_no_store_would_import_is_exported_with_a_warning(
    there: Ledger, files: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    store = there.store
    with store.run("x", {**TAGS, "identity": "2" * 32}) as run:
        run.log(metrics={**METRICS, "validation/loss": float("nan")}, params=PARAMS)
        run.artifacts(files)
    assert export(tmp_path / "nan.zip", [(store, one) for one in store.runs()]) == 1
    assert "validation/loss is nan" in caplog.text
