"""Every job once: known, waited for, taken over, restored; on a real embedded store."""

import json
import logging
import shutil
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from src.tracking import ledger as module
from src.tracking.ledger import Ledger, open_store
from src.tracking.owner import Owner
from src.tracking.store import RunRecord, Store, TrackingSettings

IDENTITY = "0123456789abcdef0123456789abcdef"
FAR = replace(Owner.here(), host="far", boot="0" * 16)


@pytest.fixture
def store(database: Path, request: pytest.FixtureRequest) -> Store:
    return Store(TrackingSettings(None, f"ledger-{request.node.name}"), database)


@pytest.fixture(autouse=True)
def _hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_PAUSE", 0.02)


def compute(ledger: Ledger, *, force: bool = False, accuracy: float = 0.5, files: Path | None = None) -> str:
    """What a job does: its run's number, or the known one's."""
    with ledger.job(IDENTITY, force=force) as job:
        if job.known is not None:
            return job.known.run_id
        with job.run("name", {"dataset": "d"}) as run:
            run.log(metrics={"test/accuracy": accuracy, "clips/test": 4}, params={"seed": 0})
            for step in range(3):
                run.client.log_metric(run.run_id, "train/loss", 1.0 / (1 + step), step=step)
            if files is not None:
                run.artifacts(files)
        return run.run_id


def status(store: Store, run_id: str) -> str:
    run = store.get(run_id)
    assert run is not None
    return run.status


@contextmanager
def left_running(store: Store, owner: Owner | None) -> Iterator[str]:
    """A run that a process left behind."""
    tags = {"identity": IDENTITY} | ({} if owner is None else owner.tags())
    yield str(store.client.create_run(store.experiment_id, tags=tags).info.run_id)


def test_what_finished_is_known(store: Store) -> None:
    first = compute(Ledger(store))
    assert compute(Ledger(store), accuracy=0.9) == first
    assert [run.run_id for run in store.runs()] == [first]


def test_a_known_job_searches_nothing(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    first = compute(Ledger(store))
    monkeypatch.delattr(Store, "finished")
    monkeypatch.delattr(Store, "runs")
    assert compute(Ledger(store)) == first


@pytest.mark.parametrize("content", [None, b"", b"[]", b'{"run": "0"}', b'{"run": 1, "artifacts": 3}'])
def test_the_book_may_be_lost_or_damaged(store: Store, content: bytes | None) -> None:
    first = compute(Ledger(store))
    [entry] = [path for path in (store.home / "ledger").glob(f"*/{IDENTITY}.json") if first in path.read_text()]
    written = entry.read_bytes()
    entry.unlink()
    if content is not None:
        entry.write_bytes(content)
    assert compute(Ledger(store)) == first
    assert json.loads(entry.read_bytes()) == json.loads(written)


def test_force_runs_it_again_and_the_newest_counts(store: Store) -> None:
    first = compute(Ledger(store))
    second = compute(Ledger(store), force=True)
    assert second != first
    assert compute(Ledger(store)) == second


def test_what_a_person_deleted_is_run_again(store: Store) -> None:
    first = compute(Ledger(store))
    store.client.delete_run(first)
    second = compute(Ledger(store))
    assert second != first
    assert compute(Ledger(store)) == second


def test_what_failed_keeps_its_reason_and_is_run_again(store: Store) -> None:
    with (
        pytest.raises(ZeroDivisionError),
        Ledger(store).job(IDENTITY, force=False) as job,
        job.run("name", {}) as run,
    ):
        raise ZeroDivisionError("no clips")
    failed = store.get(run.run_id)
    assert failed is not None
    assert (failed.status, failed.tags["reason"]) == ("FAILED", "ZeroDivisionError: no clips")
    assert status(store, compute(Ledger(store))) == "FINISHED"


def test_an_interrupt_marks_it_killed(store: Store) -> None:
    with pytest.raises(KeyboardInterrupt), Ledger(store).job(IDENTITY, force=False) as job, job.run("name", {}) as run:
        raise KeyboardInterrupt
    assert status(store, run.run_id) == "KILLED"


def test_the_run_of_a_dead_process_is_killed_and_run_again(store: Store) -> None:
    with left_running(store, replace(Owner.here(), started="1")) as left:
        mine = compute(Ledger(store))
    killed = store.get(left)
    assert killed is not None
    assert killed.status == "KILLED"
    assert killed.tags["reason"].endswith("is gone")
    assert status(store, mine) == "FINISHED"


def test_a_run_that_another_machine_left_is_killed_and_run_again(store: Store) -> None:
    with left_running(store, FAR) as left:
        mine = compute(Ledger(store))
    assert (status(store, left), status(store, mine)) == ("KILLED", "FINISHED")


def test_a_living_process_is_waited_for_even_without_its_lock(store: Store) -> None:
    with left_running(store, Owner.here()) as left:
        threading.Timer(0.5, store.end, [left, "FAILED", "its own end"]).start()
        mine = compute(Ledger(store))
    assert sorted((run.run_id, run.status) for run in store.runs()) == sorted([(left, "FAILED"), (mine, "FINISHED")])


def test_two_at_once_do_it_once(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    found: list[str] = []
    with caplog.at_level(logging.INFO):
        with Ledger(store).job(IDENTITY, force=False) as job:
            thread = threading.Thread(target=lambda: found.append(compute(Ledger(store))))
            thread.start()
            while "waiting for it" not in caplog.text:
                time.sleep(0.01)
            with job.run("name", {}) as run:
                run.log(metrics={"test/accuracy": 0.5, "clips/test": 4})
        thread.join(timeout=30)
    assert found == [run.run_id]
    assert len(store.runs()) == 1


def test_a_lost_database_is_made_again_from_the_book(
    tmp_path: Path, database: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def opened(name: str) -> Store:
        from src.tracking.database import opened as cached

        cached.cache_clear()
        home = tmp_path / name
        home.mkdir()
        # an empty database costs seconds to make
        Store(TrackingSettings(None, "any"), database)
        shutil.copy(database / "mlflow.db", home / "mlflow.db")
        return Store(TrackingSettings(None, "lost"), home)

    (tmp_path / "files").mkdir()
    (tmp_path / "files" / "predictions.csv").write_bytes(b"clip\n\xc3\xa4\n")
    store = opened("one")
    first = compute(Ledger(store), accuracy=0.1 + 0.2, files=tmp_path / "files")
    curve = [(p.value, p.step) for p in store.client.get_metric_history(first, "train/loss")]
    again = opened("two")
    for part in ("ledger", "artifacts"):
        shutil.copytree(store.home / part, again.home / part)
    second = compute(Ledger(again))
    run = again.get(second)
    assert run is not None
    assert second != first
    assert run.tags["restored"] == first
    assert run.metrics["test/accuracy"] == 0.1 + 0.2
    assert [(p.value, p.step) for p in again.client.get_metric_history(second, "train/loss")] == curve
    assert again.artifact(second, "predictions.csv") == b"clip\n\xc3\xa4\n"
    assert "restored from the ledger" in caplog.text
    assert compute(Ledger(again)) == second


def test_a_store_that_takes_nothing_any_more_is_told_of(store: Store, caplog: pytest.LogCaptureFixture) -> None:
    store.end("no such run", "FAILED", "reason")
    assert "run no such run cannot be marked FAILED" in caplog.text


def test_runs_for_a_server_are_written_here_first(database: Path) -> None:
    uri = "http://127.0.0.1:9"
    store = open_store(TrackingSettings(uri, "spool"), database)
    assert store.uri.startswith("sqlite:///")
    assert store.remote is not None
    assert store.remote.uri == uri


def test_experiments_and_databases_have_books_of_their_own(database: Path) -> None:
    one, two = (Store(TrackingSettings(None, f"own-{n}"), database) for n in (1, 2))
    first = compute(Ledger(one))
    assert compute(Ledger(two)) != first


def finished(run: RunRecord | None) -> Any:
    return run and run.run_id


def test_finished_asks_without_computing(store: Store) -> None:
    assert Ledger(store).finished(IDENTITY) is None
    first = compute(Ledger(store))
    assert finished(Ledger(store).finished(IDENTITY)) == first
    assert finished(Ledger(store).finished("f" * 32)) is None
