"""A sweep in a file: the same runs elsewhere, nothing of this machine, nothing that a hostile file can do."""

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from src.errors import UserError
from src.ledger.bundle import bring_in, export
from src.ledger.ledger import Ledger
from src.tracking import RunRecord, Store, TrackingSettings

IDENTITIES = ["0" * 32, "1" * 32]
HOME = "/srv/My Sounds (2024)/user name"
PARAMS = {
    "paths.data": f"{HOME}/data",
    "dataset.root": f"{HOME}/clips",
    "backbone.weights": "/opt/weights/net.safetensors",
    "head._target_": "src.head.linear.Linear",
    "dataset.keep": "['a/srv/b', 'c', '/srvs']",
}
NOTES = {
    "unusable": [f"{HOME}/clips/a/x.wav: not audio", "/mnt/disk1/y.wav: empty", "a/00.wav"],
    "ratio": "1/2 or 3 /4",
}


@pytest.fixture
def ledgers(database: Path, request: pytest.FixtureRequest) -> tuple[Ledger, Ledger]:
    settings = [TrackingSettings(None, f"{request.node.name[:60]}-{name}") for name in ("from", "to")]
    return Ledger(Store(settings[0], database)), Ledger(Store(settings[1], database))


@pytest.fixture
def exported(ledgers: tuple[Ledger, Ledger], tmp_path: Path) -> Path:
    ledger, files = ledgers[0], tmp_path / "files"
    files.mkdir()
    (files / "notes.json").write_text(json.dumps(NOTES))
    (files / "predictions.csv").write_bytes(b"clip,label\n/a/b,c\n")
    for number, identity in enumerate(IDENTITIES):
        with (
            ledger.job(identity, force=False) as job,
            job.run(f"run {number}", {"provenance": f"recordings in {HOME}/clips"}) as run,
        ):
            run.log(metrics={"test/accuracy": number / 3, "clips/test": 4}, params=PARAMS)
            run.artifacts(files)
    file = tmp_path / "sweep.zip"
    assert export(file, [(ledger.store, run) for run in ledger.store.runs()]) == 2
    return file


def finished(ledger: Ledger, identity: str) -> RunRecord:
    run = ledger.finished(identity)
    assert run is not None
    return run


def test_the_same_runs_elsewhere_once(ledgers: tuple[Ledger, Ledger], exported: Path) -> None:
    here, there = ledgers
    assert bring_in(exported, there) == (2, 0)
    assert bring_in(exported, there) == (0, 2)
    for identity in IDENTITIES:
        one, two = finished(here, identity), finished(there, identity)
        assert two.metrics == one.metrics
        assert (two.name, two.started, two.ended) == (one.name, one.started, one.ended)
        assert two.tags["imported"]
        assert there.store.artifact(two.run_id, "predictions.csv") == b"clip,label\n/a/b,c\n"
    assert len(there.store.runs()) == 2


def test_no_path_of_this_machine(ledgers: tuple[Ledger, Ledger], exported: Path) -> None:
    with zipfile.ZipFile(exported) as archive:
        for info in archive.infolist():
            assert info.date_time == (1980, 1, 1, 0, 0, 0)
            if not info.filename.endswith(".csv"):
                content = archive.read(info).decode()
                assert not any(part in content for part in ("/srv/My", "user name", "/opt", "/mnt", str(Path.home())))
    bring_in(exported, ledgers[1])
    run = finished(ledgers[1], IDENTITIES[0])
    assert run.params == {
        "dataset.root": "clips",
        "backbone.weights": "net.safetensors",
        "head._target_": "src.head.linear.Linear",
        "dataset.keep": "['a/srv/b', 'c', '/srvs']",
    }
    assert run.tags["provenance"] == "recordings in clips"
    notes = json.loads(ledgers[1].store.artifact(run.run_id, "notes.json"))
    assert notes == {"unusable": ["a/x.wav: not audio", "y.wav: empty", "a/00.wav"], "ratio": "1/2 or 3 /4"}


def test_a_sweep_exported_twice_is_the_same_file(
    ledgers: tuple[Ledger, Ledger], exported: Path, tmp_path: Path
) -> None:
    export(tmp_path / "again.zip", [(ledgers[0].store, run) for run in ledgers[0].store.runs()])
    assert (tmp_path / "again.zip").read_bytes() == exported.read_bytes()


def rewritten(file: Path, change: Callable[[Any], Any]) -> Path:
    """The file with another list of runs."""
    other = file.with_name("other.zip")
    with zipfile.ZipFile(file) as archive, zipfile.ZipFile(other, "w") as changed:
        for name in archive.namelist():
            content = archive.read(name)
            if name == "sweep.json":
                content = json.dumps(change(json.loads(content))).encode()
            changed.writestr(name, content)
    return other


def _without_identity(content: Any) -> Any:
    content["runs"][0]["run"]["tags"]["identity"] = "../../../etc/passwd"
    return content


def _without_result(content: Any) -> Any:
    content["runs"][0]["run"]["metrics"] = []
    return content


def _no_number(content: Any) -> Any:
    content["runs"][0]["run"]["metrics"][0][1] = "__import__('os')"
    return content


def _unknown_setting(content: Any) -> Any:
    content["runs"][0]["run"]["started"] = "yesterday"
    return content


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda content: content | {"format": 2}, "its format is 2, this program reads 1"),
        (lambda _: [], "list indices"),
        (lambda _: {"format": 1}, "runs"),
        (_without_identity, "has no identity"),
        (_without_result, "has no result"),
        (_no_number, "could not convert"),
        (_unknown_setting, "started"),
    ],
)
def test_a_file_that_is_none_changes_nothing(
    ledgers: tuple[Ledger, Ledger], exported: Path, change: Callable[[Any], Any], told: str
) -> None:
    with pytest.raises(UserError, match="no sweep that action=export wrote") as error:
        bring_in(rewritten(exported, change), ledgers[1])
    assert told in str(error.value) or "validation error" in str(error.value)
    assert ledgers[1].store.runs() == []


def test_members_that_would_land_elsewhere(ledgers: tuple[Ledger, Ledger], exported: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(exported, "a") as archive:
        archive.writestr("../../outside.txt", b"x")
    with pytest.raises(UserError, match="would land outside"):
        bring_in(exported, ledgers[1])
    assert not list(tmp_path.rglob("outside.txt"))
    assert ledgers[1].store.runs() == []


def test_no_file_and_no_archive(ledgers: tuple[Ledger, Ledger], tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"none\.zip: not found; expected a file that action=export wrote"):
        bring_in(tmp_path / "none.zip", ledgers[1])
    (tmp_path / "text.zip").write_bytes(b"PK nothing")
    with pytest.raises(UserError, match="damaged, or no zip"):
        bring_in(tmp_path / "text.zip", ledgers[1])


def test_tags_of_the_store_are_not_taken_from_a_file(ledgers: tuple[Ledger, Ledger], exported: Path) -> None:
    def change(content: Any) -> Any:
        content["runs"][0]["run"]["tags"] |= {"mlflow.note.content": "<script>", "delivered.0": "x", "pid": "1"}
        return content

    bring_in(rewritten(exported, change), ledgers[1])
    tags = {key for run in ledgers[1].store.runs() for key in run.tags}
    assert not tags & {"mlflow.note.content", "delivered.0"}
