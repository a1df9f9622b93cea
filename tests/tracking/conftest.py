"""Processes by the dozen, machines that are not there, disks that are full, and a database server."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
import running

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# 16 numbers a picture and 20 steps: a job costs what its libraries cost.
TINY = (
    "backbone=pixels", "backbone.rows=4", "backbone.columns=4", "spectrogram=waveform", "trainer.max_steps=20",
    "trainer.validate_every=10", "split=stratified", "progress=false", "workers=2", "dataset=folder",
    "dataset.root=clips",
)  # fmt: skip


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Of a command: no network, one thread, this very code."""
    return running.environment()


@pytest.fixture(scope="session", autouse=True)
def _mlflow() -> None:
    """MLflow's tables use what SQLAlchemy deprecates, and it says so when they are first looked at."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import mlflow.store.tracking.dbmodels.models  # noqa: F401  # it defines the tables
        from sqlalchemy.orm import configure_mappers

        configure_mappers()


@pytest.fixture(scope="session")
def small() -> tuple[str, ...]:
    """Overrides that make any job small; the clips are in `clips` below the working directory."""
    return TINY


@dataclass(frozen=True)
class Shelf:
    """What the embedded store of a folder holds."""

    folder: Path

    def store(self, experiment: str = "earsight") -> Any:
        """The store, opened in this process."""
        from src.tracking.store import Store, TrackingSettings

        return Store(TrackingSettings(None, experiment), self.folder / "mlruns")

    def runs(self) -> list[Any]:
        """All runs."""
        return list(self.store().runs())

    def results(self) -> dict[str, tuple[float, bytes]]:
        """Accuracy and predictions of every finished identity, each finished once."""
        finished = [run for run in self.runs() if run.status == "FINISHED"]
        found = {
            run.tags["identity"]: (run.metrics["test/accuracy"], self.store().artifact(run.run_id, "predictions.csv"))
            for run in finished
        }
        assert len(found) == len(finished), "an identity finished twice"
        return found

    def statuses(self) -> dict[str, int]:
        """Runs by status."""
        counts: dict[str, int] = {}
        for run in self.runs():
            counts[run.status] = counts.get(run.status, 0) + 1
        return counts


@pytest.fixture(scope="session")
def shelf() -> type[Shelf]:
    """`shelf(folder)`: what the embedded store below it holds."""
    return Shelf


def fill(folder: Path, leaving: int) -> Path:
    """A file that takes all room but some bytes; remove it to make room again."""
    ballast = folder / "ballast"
    room = os.statvfs(folder)
    with ballast.open("wb") as file:
        file.write(bytes(max(0, room.f_bavail * room.f_frsize - leaving)))
    return ballast


@pytest.fixture(scope="session")
def filled() -> Callable[[Path, int], Path]:
    """`filled(folder, leaving=bytes)`."""
    return fill


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The address of an empty database on the PostgreSQL that EARSIGHT_POSTGRES names."""
    from pytest_postgresql.janitor import DatabaseJanitor

    place = urlsplit(os.environ["EARSIGHT_POSTGRES"])
    name = f"earsight_{os.getpid()}"
    janitor = DatabaseJanitor(
        user=place.username, password=place.password, host=place.hostname, port=place.port, dbname=name
    )
    with janitor:
        yield f"postgresql+psycopg://{place.netloc}/{name}"


@contextmanager
def mlflow_server(backend: str, folder: Path, port: int) -> Iterator[str]:
    """What `make server` runs, for as long as the block; its address."""
    program = str(Path(sys.executable).with_name("mlflow"))
    words = ["server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", "--backend-store-uri", backend]
    words += ["--artifacts-destination", str(folder / "artifacts")]
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    process = subprocess.Popen([program, *words], env=environment, start_new_session=True, cwd=folder)
    try:
        for _ in range(600):
            assert process.poll() is None, "the server ended"
            with suppress(requests.RequestException):
                requests.get(f"http://127.0.0.1:{port}/health", timeout=2).raise_for_status()
                break
            time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait(timeout=60)


@pytest.fixture(scope="session")
def serve(database: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """`with serve() as uri` or `serve(port=..., backend=...)`: a tracking server for as long as the block."""
    from src.tracking.store import Store, TrackingSettings

    folder = tmp_path_factory.mktemp("served")
    Store(TrackingSettings(None, "any"), database)
    shutil.copy(database / "mlflow.db", folder / "mlflow.db")  # an empty database costs seconds to make

    def served(port: int | None = None, backend: str = f"sqlite:///{folder / 'mlflow.db'}") -> Any:
        return mlflow_server(backend, folder, free_port() if port is None else port)

    return served


@pytest.fixture(scope="session")
def server(serve: Any) -> Iterator[str]:
    """The address of a tracking server."""
    with serve() as uri:
        yield uri


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture
def nobody() -> str:
    """The address of a server that is away."""
    return f"http://127.0.0.1:{free_port()}"
