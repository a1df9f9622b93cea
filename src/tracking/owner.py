"""The process behind a run, told apart from a later one that has its number."""

import hashlib
import os
import socket
import subprocess
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_PROC = Path("/proc")
_STATE, _STARTED = 0, 19  # fields after the command's name in proc(5) /proc/PID/stat: `state`, `starttime`
_GONE = "ZX"  # a zombie computes nothing more


@dataclass(frozen=True)
class Owner:
    """A process on a machine.

    Attributes:
        host: the machine's name, for a person. boot: this start of this machine, and whose process numbers are meant.
        pid: process number. started: when it began, counted from the machine's start where the system says (a clock
            that is set changes nothing).
    """

    host: str
    boot: str
    pid: int
    started: str

    @classmethod
    def here(cls) -> "Owner":
        """This process."""
        pid = os.getpid()
        return cls(socket.gethostname(), _boot(), pid, _started(pid) or "")

    @classmethod
    def of(cls, tags: Mapping[str, str]) -> "Owner | None":
        """The process that a run's tags name, or None where they name none."""
        try:
            return cls(tags["host"], tags["boot"], int(tags["pid"]), tags["pid_started"])
        except (KeyError, ValueError):
            return None

    def tags(self) -> dict[str, str]:
        """As a run carries it."""
        return {"host": self.host, "boot": self.boot, "pid": str(self.pid), "pid_started": self.started}

    @property
    def is_near(self) -> bool:
        """Whether this machine can see the process, if it lives."""
        return self.boot == _boot()

    @property
    def lives(self) -> bool:
        """Whether the very process still runs; ask only where it is near."""
        return _started(self.pid) == self.started

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@cache
def _boot() -> str:
    """Changes with every start of the machine, and with every space of process numbers on it."""
    try:
        start = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        numbers = str((_PROC / "self/ns/pid").readlink())
    except OSError:
        start, numbers = socket.gethostname(), str(uuid.getnode())
    return hashlib.sha256(f"{start} {numbers}".encode()).hexdigest()[:16]


def _started(pid: int) -> str | None:
    """When a living process began; None: there is none of this number."""
    if not (_PROC / "self/stat").exists():
        return _started_by_ps(pid)
    try:
        # the command's name may hold blanks and brackets
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[_STATE] in _GONE else fields[_STARTED]


def _started_by_ps(pid: int) -> str | None:
    found = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return found.stdout.strip() or None
