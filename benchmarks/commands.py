"""The project's commands as a person types them, timed from outside, in a place of their own."""

import json
import os
import resource
import subprocess
import sys
import threading
import time
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measuring import ROOT


@dataclass(frozen=True)
class Job:
    """One job of a sweep: its seconds, those of its parts, when it ended (seconds since 1970), and its accuracy."""

    seconds: float
    parts: dict[str, float]
    ended: float
    accuracy: float


@dataclass(frozen=True)
class Done:
    """A command that ended well: seconds by the clock, its largest resident memory in GB, what it wrote.

    The memory is no less than what this process held when it began the command: Linux counts from the fork on. Those
    that it begins itself are counted where the run is `watched`.
    """

    seconds: float
    memory: float
    output: str


def run(*words: str, watched: bool = False) -> Done:
    """`python WORDS` from the repository's root.

    Args:
        watched: look five times a second at the memory of all its processes together (Linux), which slows it a little.

    Raises:
        SystemExit: it failed; what it wrote is told.
    """
    start = time.perf_counter()
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    with subprocess.Popen([sys.executable, *words], cwd=ROOT, **pipes) as process:
        with Watch(process.pid) if watched else nullcontext() as watch:
            output = process.stdout.read() if process.stdout else ""
        _, status, used = os.wait4(process.pid, 0)  # what it used is told only once
        process.returncode = os.waitstatus_to_exitcode(status)
    if status != 0:
        sys.exit(f"{' '.join(words)}\n{output[-3000:]}\nended with status {process.returncode}")
    return Done(time.perf_counter() - start, max(_gigabytes(used), watch.most if watch else 0), output)


def _gigabytes(used: resource.struct_rusage) -> float:
    unit = 1 if sys.platform == "darwin" else 1024
    return used.ru_maxrss * unit / 1e9


class Watch:
    """The most memory in GB that a process and those it began held together, while this lasts."""

    def __init__(self, process: int) -> None:
        self.most = 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, args=(process,))

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self, process: int) -> None:
        while not self._over.wait(0.2):
            self.most = max(self.most, sum(map(proportional, family(process))))


def family(process: int) -> list[int]:
    """A process and all below it."""
    found = [process]
    for parent in found:  # which grows
        for path in Path(f"/proc/{parent}/task").glob("*/children"):
            with suppress(OSError):
                found += map(int, path.read_text().split())
    return found


def proportional(process: int) -> float:
    """Resident memory in GB, what is shared counted by share; 0 if the process has ended."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024 / 1e9
    return 0.0


def settings(audio: Path, place: Path) -> list[str]:
    """Options of a folder's dataset whose cache and runs are in `place`."""
    return [
        "dataset=folder",
        f"dataset.root={audio}",
        "split=stratified",
        "backbone=efficientnet_lite0",
        f"paths.cache={place / 'cache'}",
        f"paths.tracking={place / 'runs'}",
        f"paths.data={place / 'data'}",
        "progress=false",
    ]


def jobs(place: Path) -> list[Job]:
    """The jobs of the newest sweep in a place, in their order."""
    folder = max((place / "runs/jobs").iterdir(), key=lambda path: path.name)
    found: list[tuple[int, Job]] = []
    for path in folder.glob("results-*/*.json"):
        content: dict[str, Any] = json.loads(path.read_bytes())
        outcome = content["outcome"]
        job = Job(content["seconds"], outcome["seconds"], path.stat().st_mtime, outcome["accuracy"])
        found.append((content["number"], job))
    return [job for _, job in sorted(found, key=lambda each: each[0])]
