"""Runs in MLflow: what is written is read back, and every end has its status."""

import os
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from src.errors import UserError
from src.tracking.store import Store, TrackingSettings, as_params, flat, store_uri


def opened(folder: Path, experiment: str, uri: str | None = None) -> Store:
    return Store(TrackingSettings(uri, experiment), folder)


@pytest.fixture
def store(database, request) -> Store:
    return opened(database, request.node.name[:60])


def ended(store: Store):
    [run] = store.runs()
    return run


def test_what_is_written_is_read_back(store, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.txt").write_text("hällo", "utf8")
    with store.run("toy-run", {"dataset": "tänze", "seed": "0"}) as run:
        run.log(params={"dataset.root": "a (b), c", "head.rate": 0.01, "x": None, "list": [1, 2]})
        run.log(metrics={"test/accuracy": 0.1 + 0.2, "test/recall/tänze": 1.0}, tags={"more": "1"})
        run.artifacts(tmp_path / "out")
        assert ended(store).status == "RUNNING"
    found = ended(store)
    assert (found.name, found.status, found.run_id) == ("toy-run", "FINISHED", run.run_id)
    assert found.params == {"dataset.root": "a (b), c", "head.rate": "0.01", "x": "None", "list": "[1, 2]"}
    assert found.metrics == {"test/accuracy": 0.1 + 0.2, "test/recall/tänze": 1.0}
    assert (found.tags["dataset"], found.tags["seed"], found.tags["more"]) == ("tänze", "0", "1")
    assert 0 <= found.ended - found.started < 60
    assert store.artifact(found.run_id, "a.txt").decode() == "hällo"
    assert store.get(found.run_id) == found


@pytest.mark.parametrize(
    ("error", "status", "reason"),
    [
        (UserError("no such folder"), "FAILED", "UserError: no such folder"),
        (ValueError("x" * 9000), "FAILED", "ValueError: x"),
        (KeyboardInterrupt(), "KILLED", "KeyboardInterrupt: "),
        (SystemExit(143), "KILLED", "SystemExit: 143"),
    ],
)
def test_a_run_that_breaks_off_says_why(store, error, status, reason):
    with pytest.raises(type(error)), store.run("x", {}):
        raise error
    found = ended(store)
    assert found.status == status
    assert found.tags["reason"].startswith(reason)
    assert found.ended >= found.started > 0


def test_more_params_than_mlflow_takes_at_a_time(store):
    # A dataset of 60 classes has a param for each of them, beside some seventy others.
    params = {f"dataset.classes.c{i}": [] for i in range(250)}
    with store.run("x", {}) as run:
        run.log(params=params)
    assert ended(store).params == dict.fromkeys(params, "[]")


def test_more_metrics_than_mlflow_takes_at_a_time(store):
    metrics = {f"test/recall/c{i}": i / 2000 for i in range(1500)}
    with store.run("x", {}) as run:
        run.log(metrics=metrics)
    assert ended(store).metrics == metrics


def test_long_params_are_cut_and_names_are_made_fit(store):
    with store.run("x", {}) as run:
        run.log(params={"long": "x" * 9000}, metrics={"test/recall/rock'n'roll (live)": 0.5})
    assert ended(store).params == {"long": "x" * 250}
    assert ended(store).metrics == {"test/recall/rock_n_roll _live_": 0.5}


def test_names_that_mlflow_refuses_are_made_fit(store):
    """Names of classes, which metrics and params hold, are names of folders."""
    names = ["x" * 255, "x" * 254 + "y", "a//b", "..", "Größe, (cm)"]
    with store.run("x", {}) as run:
        run.log(
            params={f"dataset.classes.{name}": "[]" for name in names},
            metrics={f"test/recall/{name}": i / 10 for i, name in enumerate(names)},
        )
    found = ended(store)
    assert sorted(found.metrics.values()) == [0.0, 0.1, 0.2, 0.3, 0.4]
    assert len(found.params) == len(names)
    assert max(len(name) for name in (*found.metrics, *found.params)) == 250


def test_flat():
    assert flat({"a": {"b": 1, "c": {"d": [1, 2]}}, "e": None, "f": {}}) == {"a.b": 1, "a.c.d": [1, 2], "e": None}
    assert as_params({"a": None, "b": "x" * 300}) == {"a": "None", "b": "x" * 250}


def test_the_newest_finished_run_of_an_identity(store):
    def one(identity: str, fails: bool = False) -> str:
        with store.run("x", {"identity": identity}) as run:
            if fails:
                raise KeyError("broken")
        return run.run_id

    assert store.finished("i1") is None
    one("i1")
    newest = one("i1")
    one("i2")
    with pytest.raises(KeyError):
        one("i1", fails=True)
    found = store.finished("i1")
    assert found is not None
    assert found.run_id == newest
    store.client.delete_run(newest)
    again = store.finished("i1")
    assert again is not None
    assert again.run_id != newest


def test_runs_beyond_a_page_are_all_there(store, monkeypatch):
    for _ in range(5):
        with store.run("x", {}):
            pass
    search = store.client.search_runs
    monkeypatch.setattr(store.client, "search_runs", lambda *a, **k: search(*a, **{**k, "max_results": 2}))
    assert len({run.run_id for run in store.runs()}) == 5


def test_the_lightning_logger_writes_to_this_run(store):
    with store.run("x", {}) as run:
        logger = run.lightning_logger()
        logger.log_metrics({"validation/accuracy": 0.25}, 10)
        logger.log_metrics({"validation/accuracy": 0.75}, 20)
    found = ended(store)
    history = store.client.get_metric_history(found.run_id, "validation/accuracy")
    assert [(point.step, point.value) for point in history] == [(10, 0.25), (20, 0.75)]
    assert found.status == "FINISHED"


def test_an_artifact_that_is_not_there(store):
    with store.run("x", {}) as run:
        pass
    with pytest.raises(UserError, match=rf"run {run.run_id}: no artifact 'nothing\.csv'"):
        store.artifact(run.run_id, "nothing.csv")


def test_a_deleted_experiment_says_what_to_do(database):
    store = opened(database, "to be deleted")
    store.client.delete_experiment(store.experiment_id)
    # Within this process the opened store is kept; the next one looks.
    done = subprocess.run(
        [sys.executable, "-c",
         "import sys; from pathlib import Path; from src.tracking.store import Store, TrackingSettings\n"
         "try: Store(TrackingSettings(None, 'to be deleted'), Path(sys.argv[1]))\n"
         "except Exception as error: print(type(error).__name__, error)", str(database)],
        capture_output=True, text=True, check=False, cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.stdout.startswith("UserError tracking.experiment: 'to be deleted' was deleted in sqlite:///")
    assert "choose another name" in done.stdout


def test_where_the_database_is(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert store_uri(TrackingSettings(None, "x"), Path("mlruns")) == f"sqlite:///{tmp_path}/mlruns/mlflow.db"
    assert store_uri(TrackingSettings("sqlite:///a/b.db", "x"), Path("m")) == f"sqlite:///{tmp_path}/a/b.db"
    assert store_uri(TrackingSettings("sqlite:////a/b.db", "x"), Path("m")) == "sqlite:////a/b.db"
    assert store_uri(TrackingSettings("http://h:5000", "x"), Path("m")) == "http://h:5000"


def test_artifacts_lie_beside_the_database_whatever_the_working_directory(store, database, tmp_path, monkeypatch):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.txt").write_text("x")
    monkeypatch.chdir(tmp_path)
    with store.run("x", {}) as run:
        run.artifacts(tmp_path / "out")
    assert ended(store).artifacts.startswith((database.resolve() / "artifacts").as_uri())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]


def test_nothing_leaks_into_the_process(store):
    assert "MLFLOW_RUN_ID" not in os.environ
    assert os.environ["MLFLOW_DISABLE_TELEMETRY"] == "true"


@pytest.mark.parametrize("content", [b"this is no database at all, just text " * 100, None])
def test_a_file_that_is_no_database_of_mlflow_is_named(tmp_path, content):
    path = tmp_path / "mlflow.db"
    if content is None:
        connection = sqlite3.connect(path)
        connection.execute("create table experiments (other integer)")
        connection.commit()
        connection.close()
    else:
        path.write_bytes(content)
    with pytest.raises(
        UserError, match=r"mlflow\.db: cannot be used as an MLflow database .*If .* damaged, move it away"
    ):
        opened(tmp_path, "x")


def test_a_server_that_is_not_there_is_told(tmp_path, monkeypatch):
    # MLflow alone tries for four minutes; three more attempts take seconds.
    assert int(os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"]) <= 3
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with pytest.raises(UserError, match=r"tracking\.uri=http://user:\*\*\*@127\.0\.0\.1:9: the server does not answer"):
        opened(tmp_path, "x", "http://user:secret@127.0.0.1:9")


def test_two_processes_open_a_fresh_database_at_once(tmp_path):
    program = (
        "import sys; from pathlib import Path; from src.tracking.store import Store, TrackingSettings\n"
        "store = Store(TrackingSettings(None, 'x'), Path(sys.argv[1]))\n"
        "with store.run('r', {}): pass\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", program, str(tmp_path)], cwd=Path(__file__).parents[2])
        for _ in range(2)
    ]
    assert [process.wait(timeout=600) for process in processes] == [0, 0]
    assert [run.status for run in opened(tmp_path, "x").runs()] == ["FINISHED"] * 2
