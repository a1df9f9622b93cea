"""Commands as a person runs them: real processes, with nothing around them that a person would not have."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def environment() -> dict[str, str]:
    """Of a command: no network, one thread, this very code."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW", "HYDRA", "COV"))}
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
