"""Faults as they happen: each is made, survived, and nothing is lost or doubled."""

import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from needs import faketime


@pytest.fixture
def folder(tmp_path: Path, write_clips: Callable[..., Any]) -> Path:
    write_clips(tmp_path / "clips", ["a", "b"], 12)
    return tmp_path


def copied(folder: Path, name: str) -> Path:
    """The same clips elsewhere: where all goes well."""
    (folder / name).mkdir()
    shutil.copytree(folder / "clips", folder / name / "clips")
    return folder / name


def test_eight_processes_on_a_database_that_does_not_exist(kennel: Any, shelf: Any, small: Any, folder: Path) -> None:
    processes = [kennel.start([*small, f"seed={seed}"], folder) for seed in range(8)]
    assert [process.wait() for process in processes] == [0] * 8, "".join(process.said() for process in processes)
    assert shelf(folder).statuses() == {"FINISHED": 8}
    assert len(shelf(folder).results()) == 8


def test_killed_while_the_database_is_made(kennel: Any, shelf: Any, small: Any, folder: Path) -> None:
    process = kennel.start(small, folder)
    draft = folder / "mlruns" / ".mlflow.db.draft"
    process.until(lambda: draft.exists() and draft.stat().st_size > 100_000)
    process.kill()
    assert not (folder / "mlruns" / "mlflow.db").exists()
    assert kennel.run(small, folder).wait() == 0
    assert shelf(folder).statuses() == {"FINISHED": 1}


def _log_at_once(kennel: Any, folder: Path, each: int) -> None:
    home = folder / "mlruns"
    # every second process is at the same jobs as its neighbour
    processes = [kennel.start([str(home), str(n // 2 * each), str(each)], folder, module="many") for n in range(8)]
    assert [process.wait() for process in processes] == [0] * 8, "".join(process.said() for process in processes)
    from src.tracking.store import Store, TrackingSettings

    runs = Store(TrackingSettings(None, "many"), home).runs()
    assert [run.status for run in runs] == ["FINISHED"] * (4 * each)
    assert {run.tags["identity"]: run.metrics["test/accuracy"] for run in runs} == {
        f"{n:032x}": n / 1000 for n in range(4 * each)
    }
    assert all(len(run.params) == 50 for run in runs)


def test_eight_processes_log_at_once(kennel: Any, tmp_path: Path) -> None:
    _log_at_once(kennel, tmp_path, 3)


@pytest.mark.slow
def test_eight_processes_log_25_runs_each_at_once(kennel: Any, tmp_path: Path) -> None:
    _log_at_once(kennel, tmp_path, 25)


@pytest.mark.slow
def test_a_full_disk_under_the_cache(
    kennel: Any, shelf: Any, small: Any, folder: Path, small_disk: Any, filled: Any
) -> None:
    cache = small_disk("cache", 1)
    ballast = filled(cache, leaving=0)
    where = f"paths.cache='{cache}'"
    process = kennel.run([*small, where], folder)
    assert process.wait() == 0, process.said()
    assert "cannot keep features" in process.said() or "computed but not kept" in process.said()
    ballast.unlink()
    assert kennel.run([*small, where, "seed=1"], folder).wait() == 0
    assert kennel.run([*small, where, "seed=2"], folder).wait() == 0
    calm = copied(folder, "calm")
    assert kennel.run(["-m", *small, "seed=0,1,2"], calm).wait() == 0
    assert shelf(folder).results() == shelf(calm).results()
    # the first computed and could not keep, the second kept, the third read
    computed = {run.params["seed"]: "seconds/decode" in run.metrics for run in shelf(folder).runs()}
    assert computed == {"0": True, "1": True, "2": False}


def test_a_full_disk_under_the_runs(
    kennel: Any, shelf: Any, small: Any, folder: Path, small_disk: Any, filled: Any
) -> None:
    small_disk("mlruns", 8)
    assert kennel.run([*small, "seed=0"], folder).wait() == 0
    ballast = filled(folder / "mlruns", leaving=30_000)
    process = kennel.run(["-m", *small, "seed=0,1,2,3"], folder)
    assert process.wait() == 1
    assert "disk is full" in process.said() or "No space left" in process.said()
    assert "known, accuracy" in process.said(), "what had finished is found on a full disk"
    ballast.unlink()
    again = kennel.run(["-m", *small, "seed=0,1,2,3"], folder)
    assert again.wait() == 0, again.said()
    calm = copied(folder, "calm")
    assert kennel.run(["-m", *small, "seed=0,1,2,3"], calm).wait() == 0
    assert shelf(folder).results() == shelf(calm).results()
    assert shelf(folder).statuses()["FINISHED"] == 4
    assert "RUNNING" not in shelf(folder).statuses()


def test_a_cache_that_cannot_be_written(kennel: Any, shelf: Any, small: Any, folder: Path, read_only: Any) -> None:
    assert kennel.run([*small, "seed=0"], folder).wait() == 0
    read_only(folder / "data")
    sweep = ["-m", *small, "backbone.rows=4,5", "seed=0,1"]
    process = kennel.run(sweep, folder)
    assert process.wait() == 0, process.said()
    assert "cannot" in process.said()
    calm = copied(folder, "calm")
    assert kennel.run(sweep, calm).wait() == 0
    assert shelf(folder).results() == shelf(calm).results()


@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied"])
def test_a_damaged_cache(kennel: Any, shelf: Any, small: Any, folder: Path, damage: str) -> None:
    assert kennel.run([*small, "seed=0"], folder).wait() == 0
    [segment] = (folder / "data").rglob("*.safetensors")
    content = bytearray(segment.read_bytes())
    content[-5] ^= 0x40
    segment.write_bytes({"flipped": bytes(content), "cut": bytes(content[:-9]), "emptied": b""}[damage])
    process = kennel.run([*small, "force=true"], folder)
    assert process.wait() == 0, process.said()
    assert "corrupt" in process.said()
    one, two = shelf(folder).runs()
    files = [shelf(folder).store().artifact(run.run_id, "predictions.csv") for run in (one, two)]
    assert files[0] == files[1]
    assert len(list((folder / "data").rglob("*.safetensors"))) == 1


def test_a_damaged_database(kennel: Any, shelf: Any, small: Any, folder: Path) -> None:
    sweep = ["-m", *small, "seed=0,1"]
    assert kennel.run(sweep, folder).wait() == 0
    before = shelf(folder).results()
    database = folder / "mlruns" / "mlflow.db"
    content = bytearray(database.read_bytes())
    content[:4096] = bytes(4096)
    database.write_bytes(content)
    broken = kennel.run(sweep, folder)
    assert broken.wait() == 1
    assert "move it away: the next run starts a new one" in " ".join(broken.said().split())
    database.rename(database.with_suffix(".broken"))
    mended = kennel.run(sweep, folder)
    assert mended.wait() == 0, mended.said()
    assert mended.said().count("known, accuracy") == 2
    # under another name, since this process still has the damaged one open
    shutil.copytree(folder / "mlruns", folder / "seen" / "mlruns")
    assert shelf(folder / "seen").results() == before


def test_a_database_that_another_program_holds(kennel: Any, shelf: Any, small: Any, folder: Path) -> None:
    assert kennel.run([*small, "seed=0"], folder).wait() == 0
    database = sqlite3.connect(folder / "mlruns" / "mlflow.db", check_same_thread=False)
    database.execute("begin exclusive")
    process = kennel.start([*small, "seed=1"], folder)
    threading.Timer(6, database.rollback).start()
    assert process.wait() == 0, process.said()
    database.close()
    assert shelf(folder).statuses() == {"FINISHED": 2}


@pytest.fixture
def clock_library() -> Path:
    """Fakes a process's clock."""
    library = faketime()
    assert library is not None, "libfaketime is not installed; install it (Debian: apt-get install faketime)"
    return library


@pytest.mark.slow
def test_a_clock_that_jumps(
    kennel: Any, shelf: Any, small: Any, folder: Path, environment: dict[str, str], clock_library: Path
) -> None:
    clock = folder / "clock"
    clock.write_text("+0")
    faked = {
        "LD_PRELOAD": str(clock_library), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1", "DONT_FAKE_MONOTONIC": "1",
    }  # fmt: skip
    sweep = ["-m", *small, "seed=range(6)"]
    with subprocess.Popen(
        [sys.executable, "-m", "src.train", *sweep], cwd=folder, env=environment | faked,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        said = []
        for line in process.stdout:
            said.append(line)
            # a year back after the second job, ten years ahead after the fourth
            if line.startswith("[2/6]"):
                clock.write_text("-1y")
            if line.startswith("[4/6]"):
                clock.write_text("+10y")
        assert process.wait() == 0, "".join(said)
    assert shelf(folder).statuses() == {"FINISHED": 6}
    years = {time.gmtime(run.started).tm_year - time.gmtime().tm_year for run in shelf(folder).runs()}
    assert len(years) == 3, f"the clock did not jump: {years}"
    assert kennel.run(sweep, folder).said().count("known, accuracy") == 6
    calm = copied(folder, "calm")
    assert kennel.run(sweep, calm).wait() == 0
    assert shelf(folder).results() == shelf(calm).results()
