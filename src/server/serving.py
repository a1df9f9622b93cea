"""MLflow's server over a PostgreSQL of its own."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from src.errors import UserError
from src.server.postgres import Postgres

HOST = "127.0.0.1"
_PATIENCE = 120.0


def serve(folder: Path, port: int, binaries: Path | None) -> None:
    """Serve until interrupted.

    Args:
        folder: of the database and the artifacts. port: on 127.0.0.1. binaries: as `Postgres` takes them.

    Raises:
        UserError: PostgreSQL or the server cannot be started.
    """
    with (
        Postgres(folder / "postgres", binaries) as database,
        mlflow_server(database.uri, folder / "artifacts", port) as server,
    ):
        sys.stdout.write(f"MLflow on http://{HOST}:{port}; jobs use it with tracking.uri=http://{HOST}:{port}\n")
        sys.stdout.flush()
        server.wait()
    raise UserError(f"MLflow's server ended by itself with status {server.returncode}; see what it said above")


@contextmanager
def mlflow_server(uri: str, artifacts: Path, port: int, *, workers: int = 2) -> Iterator["subprocess.Popen[bytes]"]:
    """MLflow's server, answering when the block begins and gone when it ends.

    Args:
        uri: of its database. artifacts: folder that it keeps artifacts in. workers: processes that answer.

    Raises:
        UserError: it does not come up.
    """
    import requests

    artifacts.mkdir(parents=True, exist_ok=True)
    words = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", str(workers)]
    words += ["--backend-store-uri", uri, "--artifacts-destination", artifacts.resolve().as_uri()]
    environment = os.environ | {"MLFLOW_DISABLE_TELEMETRY": "true"}
    # in a group of its own: a Ctrl-C is for this process, which then ends the server and all its workers
    process = subprocess.Popen(words, env=environment, start_new_session=True)
    try:
        end = time.monotonic() + _PATIENCE
        while True:
            if process.poll() is not None:
                raise UserError(f"MLflow's server ended with status {process.returncode}; is port {port} free?")
            try:
                requests.get(f"http://{HOST}:{port}/health", timeout=2).raise_for_status()
                break
            except requests.RequestException as error:
                if time.monotonic() > end:
                    raise UserError(f"MLflow's server did not answer within {_PATIENCE:.0f} s") from error
                time.sleep(0.2)
        yield process
    finally:
        _end(process)


def _end(process: "subprocess.Popen[bytes]") -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(timeout=10)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
