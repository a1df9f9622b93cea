"""Commands as a person runs them: real processes, with nothing around them that a person would not have."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def environment() -> dict[str, str]:
    """Of a command: no network, one thread, this very code."""
    inherited = {
        key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "HYDRA", "COV", "PYTEST"))
    }
    return inherited | {"PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "COLUMNS": "200"}


def command(args: Sequence[str], module: str = "src.train") -> list[str]:
    """What a person would type."""
    return [sys.executable, "-m", module, *args]


@dataclass
class Started:
    """A command under way, and what it has said so far."""

    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)
    reader: threading.Thread | None = None

    def settle(self) -> None:
        """Once it has ended: wait for the last of what it said."""
        if self.reader is not None:
            self.reader.join(timeout=10)

    def until(self, text: str, seconds: float = 600) -> None:
        """Wait for a line with `text` on either stream."""
        self.wait_for(lambda: any(text in line for line in self.said), seconds)

    def wait_for(self, happened: Callable[[], bool], seconds: float = 600) -> None:
        """Wait for something while the command runs."""
        end = time.monotonic() + seconds
        while not happened():
            assert self.process.poll() is None, f"ended with {self.process.returncode}: {self.output}"
            assert time.monotonic() < end, f"not within {seconds} s: {self.output}"
            time.sleep(0.02)

    def stop(self, number: signal.Signals) -> int:
        """Send a signal; the exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout=300)

    @property
    def output(self) -> str:
        """Both streams."""
        return "".join(self.said)


@dataclass
class Process:
    """A command begun by the kennel."""

    kennel: "Kennel"
    pid: int
    out: Path
    stage: Path
    err: Path | None = None
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
    database: Path | None = None
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
        self,
        args: Sequence[str],
        cwd: Path,
        *,
        module: str = "src.train",
        environment: dict[str, str] | None = None,
        logs: Path | None = None,
    ) -> Process:
        """`python -m MODULE ARGS` in `cwd`, begun at once; standard error apart where there is a folder for `logs`."""
        apart = logs is not None
        logs = logs or cwd / ".said"
        logs.mkdir(exist_ok=True)
        number = len(self.begun)
        out, stage = logs / f"{number}.txt", logs / f"{number}.stage"
        err = logs / f"{number}.err" if apart else out
        answer = self.order(
            module=module, args=list(args), cwd=str(cwd), out=str(out), err=str(err), stage="" if apart else str(stage),
            environment=environment or {},
        )  # fmt: skip
        self.begun.append(Process(self, int(answer["pid"]), out, stage, err))
        return self.begun[-1]

    def run(
        self, args: Sequence[str], cwd: Path, *, module: str = "src.train", fresh: bool = False, **more: Any
    ) -> Process:
        """As `start`, to its end; training finds a database of MLflow's without runs, unless `fresh`.

        MLflow takes two seconds to make one.
        """
        store = cwd / "mlruns"
        if module == "src.train" and not fresh and not store.exists() and self.database is not None:
            store.mkdir()
            shutil.copy(self.database, store / "mlflow.db")
        process = self.start(args, cwd, module=module, **more)
        process.wait()
        return process
