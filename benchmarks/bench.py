"""Every promise of speed in one run: each row beside its alternative, on this machine, from audio rendered here.

    make bench

About a quarter of an hour on two idle cores. Each part is a process of its own (`python -m benchmarks.PART` shows one
alone). The table is written to reports/bench.md and, with the machine, to reports/bench.json.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.measuring import HEADINGS, ROOT, Row, machine, markdown

PARTS = ("picture", "networks", "head", "overhead", "cold", "processes", "memory")
REPORTS = ROOT / "reports"


def rows_of(part: str) -> list[Row]:
    """What one part measures.

    Raises:
        SystemExit: it failed.
    """
    words = [sys.executable, "-m", f"benchmarks.{part}", "--json"]
    done = subprocess.run(words, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"benchmarks.{part} ended with status {done.returncode}")
    return [Row(**fields) for fields in json.loads(done.stdout.splitlines()[-1])]


def stages() -> list[tuple[str, str, str]]:
    """Absolute costs of the parts of a run, by pytest-benchmark: name, milliseconds at best and in the median."""
    with tempfile.TemporaryDirectory() as name:
        told = Path(name) / "parts.json"
        words = ["-m", "pytest", "-q", "-o", "addopts=", "benchmarks/parts.py", f"--benchmark-json={told}"]
        one_thread = os.environ | {"OMP_NUM_THREADS": "1"}
        subprocess.run([sys.executable, *words], cwd=ROOT, stdout=subprocess.DEVNULL, check=True, env=one_thread)
        found: list[dict[str, Any]] = json.loads(told.read_bytes())["benchmarks"]
    return [_stage(each["name"], each["stats"]) for each in found]


def _stage(test: str, stats: dict[str, float]) -> tuple[str, str, str]:
    title = test.removeprefix("test_").replace("_", " ")
    return title, f"{1000 * stats['min']:.3g}", f"{1000 * stats['median']:.3g}"


def report(rows: list[Row], parts: list[tuple[str, str, str]], peaks: dict[str, float], about: dict[str, Any]) -> str:
    """Everything as a page."""
    missed = sum(row.met is False for row in rows)
    promised = sum(row.met is not None for row in rows)
    kernels = markdown([("kernel", "GFLOP/s"), *((name, f"{speed:.0f}") for name, speed in peaks.items())])
    return "\n".join(
        (
            "# What make bench measured\n",
            *(f"- {key}: {value}" for key, value in about.items()),
            f"\n{promised - missed} of {promised} targets met. 1x is the alternative's own speed.\n",
            markdown([HEADINGS, *(row.cells for row in rows)]),
            "The most float32 operations a second that this machine was seen to do, on all cores:\n",
            kernels,
            "Parts of a run, one thread, milliseconds:\n",
            markdown([("part", "fastest", "median"), *parts]),
        )
    )


def main() -> None:
    """Measure, write, and end with status 1 where a target is missed."""
    from benchmarks.peak import peaks

    asked = [word for word in sys.argv[1:] if not word.startswith("-")] or list(PARTS)
    start, about, rows = time.perf_counter(), machine(), []
    speeds = peaks()
    for part in asked:
        begun = time.perf_counter()
        rows += rows_of(part)
        sys.stderr.write(f"{part}: {time.perf_counter() - begun:.0f} s\n")
    parts = stages()
    about["measured in"] = f"{(time.perf_counter() - start) / 60:.1f} minutes, {time.strftime('%Y-%m-%d')}"
    page = report(rows, parts, speeds, about)
    REPORTS.mkdir(exist_ok=True)
    (REPORTS / "bench.md").write_text(page, "utf8")
    content = {
        "machine": about,
        "rows": [dict(zip(HEADINGS, row.cells, strict=True)) | {"value": row.value} for row in rows],
        "peaks": speeds,
        "parts": parts,
    }
    (REPORTS / "bench.json").write_text(json.dumps(content, indent=1, ensure_ascii=False), "utf8")
    sys.stdout.write(page)
    sys.exit(any(row.met is False for row in rows))


if __name__ == "__main__":
    main()
