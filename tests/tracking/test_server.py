"""A tracking server on a real PostgreSQL: shared by machines without a shared disk, away, restarted, caught up with."""

import re
import shutil
import subprocess
import tempfile
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from src.sweep.bundle import export
from src.tracking.copying import Copy
from src.tracking.ledger import Ledger, open_store
from src.tracking.store import Store, TrackingSettings

ROOT = Path(__file__).resolve().parents[2]
IDENTITY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
def name(request: pytest.FixtureRequest) -> str:
    """Of an experiment that no other test uses."""
    return request.node.name.replace("[", "-").replace("]", "")[:60]


@pytest.fixture
def machine(tmp_path: Path, database: Path, name: str) -> Callable[[str, str], Ledger]:
    """`machine(name, uri)`: a ledger on a disk of its own, delivering to a server."""
    Store(TrackingSettings(None, "any"), database)

    def made(which: str, uri: str) -> Ledger:
        home = tmp_path / which
        if not home.exists():
            home.mkdir()
            # an empty database costs seconds to make
            shutil.copy(database / "mlflow.db", home / "mlflow.db")
        return Ledger(open_store(TrackingSettings(uri, name), home))

    return made


@pytest.fixture
def machines(tmp_path: Path, write_clips: Callable[..., Any]) -> Callable[[str], Path]:
    """`machines(name)`: a folder with the clips and nothing else, to start commands in."""
    write_clips(tmp_path / "clips", ["a", "b"], 12)

    def made(which: str) -> Path:
        folder = tmp_path / which
        folder.mkdir()
        shutil.copytree(tmp_path / "clips", folder / "clips")
        return folder

    return made


def compute(ledger: Ledger, *, identity: str = IDENTITY, force: bool = False, accuracy: float = 0.5) -> bool:
    """What a job does; whether it had to."""
    with ledger.job(identity, force=force) as job:
        if job.known is None:
            with job.run("name", {"dataset": "d"}) as run:
                for step in range(3):
                    run.client.log_metric(run.run_id, "train/loss", 1.0 / (1 + step), step=step)
                run.log(metrics={"test/accuracy": accuracy, "clips/test": 4}, params={"seed": 0})
                with tempfile.TemporaryDirectory() as files:
                    Path(files, "predictions.csv").write_bytes(b"clip\n\xc3\xa4\n")
                    run.artifacts(Path(files))
        return job.known is None


def there(uri: str, name: str, folder: Path) -> Store:
    """The server's own store."""
    return Store(TrackingSettings(uri, name), folder)


def synced(ledger: Ledger) -> tuple[int, int]:
    assert ledger.server is not None
    return ledger.server.sync(ledger.store)


def test_a_run_arrives_whole(machine: Any, server: str, name: str, tmp_path: Path) -> None:
    ledger = machine("one", server)
    assert compute(ledger, accuracy=1 / 3)
    [here], [arrived] = ledger.store.runs(), there(server, name, tmp_path).runs()
    assert arrived.status == "FINISHED"
    assert arrived.tags["source_run"] == here.run_id
    mine, theirs = Copy.of(ledger.store, here.run_id), Copy.of(there(server, name, tmp_path), arrived.run_id)
    assert (theirs.name, theirs.params, theirs.ended) == (mine.name, mine.params, mine.ended)
    assert sorted(theirs.metrics) == sorted(mine.metrics)
    assert there(server, name, tmp_path).artifact(arrived.run_id, "predictions.csv") == b"clip\n\xc3\xa4\n"
    assert synced(ledger) == (0, 0)


def test_what_one_machine_did_another_knows(machine: Any, server: str, name: str, tmp_path: Path) -> None:
    assert compute(machine("one", server))
    other = machine("two", server)
    assert not compute(other)
    assert not compute(other)
    assert other.store.runs() == []
    known = other.finished(IDENTITY)
    assert known is not None
    assert export(tmp_path / "sweep.zip", [(other.holder(known), known)]) == 1
    assert zipfile.ZipFile(tmp_path / "sweep.zip").read("runs/0/predictions.csv") == b"clip\n\xc3\xa4\n"
    assert compute(other, force=True, accuracy=0.7)
    assert [run.status for run in there(server, name, tmp_path).runs()] == ["FINISHED", "FINISHED"]


def test_a_server_that_is_away_loses_nothing(
    machine: Any, nobody: str, server: str, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert compute(machine("one", nobody))
    assert "runs stay here until it is back, then: python -m src.sweep action=sync" in caplog.text
    assert synced(machine("one", nobody)) == (0, 1)
    assert not compute(machine("one", nobody)), "known here"
    # it is back, under another address
    assert synced(machine("one", server)) == (1, 0)
    assert synced(machine("one", server)) == (0, 0)
    assert len(there(server, name, tmp_path).runs()) == 1


def test_the_same_job_on_two_machines_that_saw_no_server_counts_once(
    machine: Any, nobody: str, server: str, name: str, tmp_path: Path
) -> None:
    assert compute(machine("one", nobody))
    assert compute(machine("two", nobody))
    assert synced(machine("one", server)) == (1, 0)
    assert synced(machine("two", server)) == (1, 0)
    assert [run.status for run in there(server, name, tmp_path).runs()] == ["FINISHED"]


def test_a_relaunch_delivers_what_is_known_here(
    machine: Any, nobody: str, server: str, name: str, tmp_path: Path
) -> None:
    assert compute(machine("one", nobody))
    assert not compute(machine("one", server))
    assert len(there(server, name, tmp_path).runs()) == 1


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_lost_artifacts_are_named_and_other_runs_delivered(
    machine: Any, nobody: str, server: str, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    ledger = machine("one", nobody)
    for identity in (IDENTITY, "f" * 32):
        assert compute(ledger, identity=identity)
    lost = ledger.finished("f" * 32)
    [file] = (tmp_path / "one").rglob(f"{lost.run_id}/artifacts/predictions.csv")
    content = file.read_bytes()
    if damage == "gone":
        shutil.rmtree(file.parent.parent)
    else:
        file.write_bytes(content[:-1])
    assert synced(machine("one", server)) == (1, 1)
    assert lost.run_id in caplog.text
    assert "predictions.csv" in caplog.text
    assert [run.tags["identity"] for run in there(server, name, tmp_path).runs()] == [IDENTITY]
    # brought back, it is delivered
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    assert synced(machine("one", server)) == (1, 0)
    [arrived] = there(server, name, tmp_path).runs("tags.identity = '" + "f" * 32 + "'")
    assert there(server, name, tmp_path).missing(arrived) == []


def test_a_run_that_a_server_lost_is_not_taken_for_delivered(
    machine: Any, server: str, serve: Any, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert compute(machine("one", server))
    [arrived] = there(server, name, tmp_path).runs()
    there(server, name, tmp_path).client.set_tag(
        arrived.run_id, "artifacts", '{"predictions.csv": [8, "00000000000000000000000000000000"]}'
    )
    store = machine("one", server).store
    [mine] = store.runs()
    for key in mine.tags:
        if key.startswith("delivered."):
            store.client.delete_tag(mine.run_id, key)
    assert synced(machine("one", server)) == (0, 1)
    assert "predictions.csv has other content" in caplog.text


def test_a_password_is_in_nothing_that_a_delivery_writes(
    machine: Any, server: str, name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    uri = server.replace("http://", "http://user:hunter2%21@")
    assert compute(machine("one", uri))
    assert len(there(server, name, tmp_path).runs()) == 1
    gone = machine("two", "http://user:hunter2%21@127.0.0.1:9")
    assert compute(gone, identity="e" * 32)
    assert "user:***@127.0.0.1:9" in caplog.text
    assert "hunter2" not in caplog.text
    for path in (path for path in tmp_path.rglob("*") if path.is_file()):
        assert b"hunter2" not in path.read_bytes(), path


def statuses(store: Store) -> dict[str, int]:
    return dict(Counter(run.status for run in store.runs()))


def test_machines_without_a_shared_disk_count_each_job_once(
    machine: Any, server: str, name: str, tmp_path: Path
) -> None:
    """Both compute the job at the same time; what is delivered first counts, and both know it afterwards."""
    one, two = machine("one", server), machine("two", server)
    with one.job(IDENTITY, force=False) as here, two.job(IDENTITY, force=False) as elsewhere:
        assert here.known is None
        assert elsewhere.known is None
        for job, accuracy in ((here, 0.5), (elsewhere, 0.6)):
            with job.run("name", {"dataset": "d"}) as run:
                run.log(metrics={"test/accuracy": accuracy, "clips/test": 4}, params={"seed": 0})
    [arrived] = there(server, name, tmp_path).runs()
    assert arrived.metrics["test/accuracy"] == 0.5
    assert synced(one) == synced(two) == (0, 0)


@pytest.mark.slow
def test_a_server_restarted_in_the_middle_of_a_sweep(
    kennel: Any, serve: Any, small: Any, machines: Any, name: str, tmp_path: Path
) -> None:
    folder = machines("one")
    with serve() as uri:
        sweep = ["-m", *small, f"tracking.uri={uri}", f"tracking.experiment={name}", "seed=range(4)"]
        process = kennel.start(sweep, folder)
        process.until(lambda: "[1/4]" in process.said(), seconds=170)
    process.until(lambda: "runs stay here until it is back" in process.said(), seconds=170)
    with serve(port=int(uri.rpartition(":")[2])):
        assert process.wait() == 0, process.said()
        assert "4 of 4 jobs finished" in process.said()
        caught_up = kennel.run(
            ["action=sync", f"tracking.uri={uri}", f"tracking.experiment={name}"], folder, module="src.sweep"
        )
        assert caught_up.wait() == 0, caught_up.said()
        runs = there(uri, name, tmp_path).runs()
        finished = [run for run in runs if run.status == "FINISHED"]
        assert len({run.tags["identity"] for run in finished}) == len(finished) == 4


def test_killed_while_it_delivers(
    kennel: Any, shelf: Any, small: Any, machines: Any, server: str, name: str, tmp_path: Path
) -> None:
    folder = machines("one")
    words = [f"tracking.uri={server}", f"tracking.experiment={name}"]
    process = kennel.start([*small, *words], folder)
    process.until(lambda: process.at() == "delivery", seconds=170)
    process.kill()
    assert [run.status for run in shelf(folder).store(name).runs()] == ["FINISHED"]
    caught_up = kennel.run(["action=sync", *words], folder, module="src.sweep")
    assert caught_up.wait() == 0, caught_up.said()
    assert statuses(there(server, name, tmp_path)) == {"FINISHED": 1}


def _log_at_once(kennel: Any, folder: Path, uri: str, each: int) -> None:
    homes = [folder / f"machine{n}" for n in range(8)]
    processes = []
    for n, home in enumerate(homes):
        home.mkdir()
        processes.append(kennel.start([str(home), str(n * each), str(each), uri], folder, module="many"))
    assert [process.wait() for process in processes] == [0] * 8, "".join(process.said() for process in processes)
    runs = there(uri, "many", folder).runs("attributes.status = 'FINISHED'")
    assert {run.tags["identity"]: run.metrics["test/accuracy"] for run in runs} == {
        f"{n:032x}": n / 1000 for n in range(8 * each)
    }
    assert len(runs) == 8 * each
    assert all(len(run.params) == 50 for run in runs)


@pytest.mark.slow
def test_eight_processes_log_25_runs_each_through_the_server(kennel: Any, server: str, tmp_path: Path) -> None:
    _log_at_once(kennel, tmp_path, server, 25)


def test_any_database_will_do(machine: Any, serve: Any, postgres: str, name: str, tmp_path: Path) -> None:
    with serve(backend=postgres) as uri:
        assert compute(machine("one", uri), accuracy=1 / 3)
        [arrived] = there(uri, name, tmp_path).runs()
        assert (arrived.status, arrived.metrics["test/accuracy"]) == ("FINISHED", 1 / 3)
        assert not compute(machine("two", uri))


@pytest.mark.parametrize("target", ["server", "ui"])
def test_servers_listen_on_this_machine_alone(target: str) -> None:
    done = subprocess.run(["make", "-n", target], cwd=ROOT, capture_output=True, text=True, check=True)
    program = (ROOT / "src" / "sweep" / "ui.py").read_text() if target == "ui" else done.stdout
    assert re.search(r"--host\W+127\.0\.0\.1\b", program)
