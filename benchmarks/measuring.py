"""What every benchmark here shares: alternatives measured in turns, rows of a table, and the machine they ran on."""

import json
import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
_PACKAGES = ("torch", "openvino", "timm", "pytorch-lightning", "mlflow", "librosa", "numpy", "scipy")


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        what: is compared. alternative, ours: the two costs, with units. value: what the target is about, in `unit`:
            `x` is how many times as fast as the alternative, or as long as, as `what` says.
        sign: `>=` or `<=`, between value and target; empty: nothing was promised. note: how, in short.
    """

    what: str
    alternative: str
    ours: str
    value: float
    unit: str = "x"
    sign: str = ""
    target: float = 0.0
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether the target is reached; None where there is none."""
        if not self.sign:
            return None
        return self.value >= self.target if self.sign == ">=" else self.value <= self.target

    @property
    def cells(self) -> tuple[str, ...]:
        """As texts: what, alternative, ours, value, target, met or missed, note."""
        unit = self.unit if self.unit == "x" or not self.unit else f" {self.unit}"
        target = f"{self.sign} {self.target:g}{unit}" if self.sign else ""
        met = {None: "", True: "met", False: "MISSED"}[self.met]
        value = f"{self.value:.5f}" if self.unit == "" else f"{self.value:.3g}{unit}"
        return self.what, self.alternative, self.ours, value, target, met, self.note


HEADINGS = ("what", "alternative", "ours", "result", "target", "", "how")


@dataclass(frozen=True)
class Times:
    """Seconds of each repeat by the clock, and of processor time."""

    wall: list[float]
    cpu: list[float]

    @property
    def best(self) -> float:
        """The fastest repeat: others on the machine can only slow one down."""
        return min(self.wall)


def in_turns(calls: Sequence[Callable[[], object]], rounds: int, warm_up: int = 1) -> list[Times]:
    """Time each call, one after the other, round by round, so that a disturbance hits all of them alike.

    Args:
        warm_up: rounds before, which do not count.
    """
    found = [Times([], []) for _ in calls]
    for turn in range(warm_up + rounds):
        for call, times in zip(calls, found, strict=True):
            wall, cpu = time.perf_counter(), time.process_time()
            call()
            if turn >= warm_up:
                times.wall.append(time.perf_counter() - wall)
                times.cpu.append(time.process_time() - cpu)
    return found


def deliver(rows: Sequence[Row]) -> None:
    """Write rows for a person, or for `benchmarks.bench` where it asks (`--json`)."""
    if "--json" in sys.argv:
        sys.stdout.write("\n" + json.dumps([asdict(row) for row in rows]) + "\n")
    else:
        sys.stdout.write(markdown([HEADINGS, *(row.cells for row in rows)]))


def markdown(table: Sequence[Sequence[str]]) -> str:
    """A table whose columns are aligned also as plain text; the first line holds the headings."""
    widths = [max(3, *(len(line[i]) for line in table)) for i in range(len(table[0]))]
    lines = ["| " + " | ".join(f"{cell:{w}}" for cell, w in zip(line, widths, strict=True)) + " |" for line in table]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]]) + "\n"


def machine() -> dict[str, Any]:
    """What the numbers were taken on."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    named = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    flags = named.get("flags", "").split()
    return {
        "processor": named.get("model name", platform.processor()),
        "family, model": f"{named.get('cpu family', '?')}, {named.get('model', '?')}",
        "vector units": " ".join(
            f for f in ("avx2", "avx512f", "avx512_bf16", "avx512_vnni", "amx_tile") if f in flags
        ),
        "cores": cores(),
        "load before": round(os.getloadavg()[0], 2),
        "memory, GB": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "packages": ", ".join(f"{name} {version(name)}" for name in _PACKAGES),
    }


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def per_second(value: float) -> str:
    """`319/s`."""
    return f"{value:.3g}/s"


def seconds(value: float) -> str:
    """`2.1 s`, `85 ms`."""
    return f"{1000 * value:.3g} ms" if value < 0.9995 else f"{value:.3g} s"
