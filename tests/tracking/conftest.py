"""Processes by the dozen, machines that are not there, disks that are full, and a database server."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent

# 16 numbers a picture and 20 steps: a job costs what its libraries cost.
TINY = (
    "backbone=pixels", "backbone.rows=4", "backbone.columns=4", "spectrogram=waveform", "trainer.max_steps=20",
    "trainer.validate_every=10", "split=stratified", "progress=false", "workers=2", "dataset=folder",
    "dataset.root=clips",
)  # fmt: skip


@dataclass
class Process:
    """A command begun by the kennel."""

    kennel: "Kennel"
    pid: int
    out: Path
    stage: Path
    status: int | None = None

    def signal(self, number: int) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    def kill(self) -> str:
        """SIGKILL it; what it was at."""
        at = self.at()
        self.signal(signal.SIGKILL)
        self.wait()
        return at

    def at(self) -> str:
        """`extraction`, `fit`, `logging`, `between`, or empty before the first of them."""
        return self.stage.read_text().strip() if self.stage.exists() else ""

    def runs(self) -> bool:
        """Whether it is still there (its parent has not asked for its end yet)."""
        return "Z" not in Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()[0]

    def wait(self) -> int:
        """Its exit status, negative for a signal."""
        if self.status is None:
            self.status = int(self.kennel.order(wait=self.pid)["status"])
        return self.status

    def said(self) -> str:
        """Both streams so far."""
        return self.out.read_text() if self.out.exists() else ""

    def until(self, happened: Callable[[], object], seconds: float = 60) -> None:
        """Wait until something is so."""
        end = time.monotonic() + seconds
        while not happened():
            assert time.monotonic() < end, f"not within {seconds} s:\n{self.said()}"
            time.sleep(0.01)


@dataclass
class Kennel:
    """See kennel.py."""

    process: subprocess.Popen[str]
    begun: list[Process] = field(default_factory=list)

    def order(self, **order: Any) -> dict[str, Any]:
        """One order and its answer."""
        stdin, stdout = self.process.stdin, self.process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(order) + "\n")
        stdin.flush()
        answer: dict[str, Any] = json.loads(stdout.readline())
        return answer

    def start(
        self, args: Sequence[str], cwd: Path, *, module: str = "src.train", environment: dict[str, str] | None = None
    ) -> Process:
        """`python -m MODULE ARGS` in `cwd`, begun at once."""
        logs = cwd / ".said"
        logs.mkdir(exist_ok=True)
        number = len(self.begun)
        out, stage = logs / f"{number}.txt", logs / f"{number}.stage"
        answer = self.order(
            module=module, args=list(args), cwd=str(cwd), out=str(out), stage=str(stage), environment=environment or {}
        )
        self.begun.append(Process(self, int(answer["pid"]), out, stage))
        return self.begun[-1]

    def run(self, args: Sequence[str], cwd: Path, *, module: str = "src.train", **more: Any) -> Process:
        """As `start`, to its end."""
        process = self.start(args, cwd, module=module, **more)
        process.wait()
        return process


@pytest.fixture(scope="session")
def environment() -> dict[str, str]:
    """Of a command: no network, one thread, this very code."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "HYDRA", "PYTEST"))}
    return inherited | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


@pytest.fixture(scope="session")
def kennel(environment: dict[str, str]) -> Iterator[Kennel]:
    """A process that has imported everything, to begin others from."""
    process = subprocess.Popen(
        [sys.executable, str(HERE / "kennel.py")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment, cwd=ROOT,
    )  # fmt: skip
    assert process.stdin is not None
    assert process.stdout is not None
    assert json.loads(process.stdout.readline()) == {"ready": True}
    here = Kennel(process)
    yield here
    for one in here.begun:
        if one.status is None:
            one.signal(signal.SIGKILL)
            one.wait()
    process.stdin.close()
    process.wait(timeout=60)
    process.stdout.close()


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
