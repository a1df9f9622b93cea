"""What it costs to find that a job is done, and that it is not, with few and with many runs in the store.

    python -m benchmarks.ledger [FOLDER]

Runs are copies of a real one (57 params, 15 metrics, 20 tags), written straight into MLflow's tables: through MLflow
10,000 would take an hour.
"""

import logging
import sqlite3
import statistics
import sys
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

from src.tracking.ledger import Ledger
from src.tracking.store import Store, TrackingSettings

SIZES = (10, 1_000, 10_000)
REPEATS = 50
KNOWN, UNKNOWN = "0" * 32, "f" * 32

log = logging.getLogger("benchmark")


def main(folder: Path) -> None:
    """Print a row per size."""
    store = Store(TrackingSettings(None, "benchmark"), folder)
    template = _template(store)
    log.info("%8s %18s %18s %18s", "runs", "known job, ms", "known, no book, ms", "unknown job, ms")
    for size in SIZES:
        _fill(store, template, size - len_of(store))
        book = _median(lambda: Ledger(store).finished(KNOWN))
        search = _median(lambda: store.finished(KNOWN))
        unknown = _median(lambda: Ledger(store).finished(UNKNOWN))
        log.info("%8d %18.1f %18.1f %18.1f", size, book, search, unknown)


def len_of(store: Store) -> int:
    """Runs in the database."""
    with sqlite3.connect(store.uri.removeprefix("sqlite:///")) as base:
        return int(base.execute("select count(*) from runs").fetchone()[0])


def _template(store: Store) -> str:
    """A finished run as big as a real one; its number."""
    params = {f"group{i % 9}.setting{i}": f"value {i}" for i in range(57)}
    metrics = {f"test/metric{i}": i / 7 for i in range(13)} | {"test/accuracy": 0.5, "clips/test": 40.0}
    tags = {f"tag{i}": f"a text of some length, number {i}" for i in range(15)}
    with Ledger(store).job(KNOWN, force=True) as job, job.run("template", tags) as run:
        run.log(params=params, metrics=metrics)
    return run.run_id


def _fill(store: Store, template: str, count: int) -> None:
    """Add copies of a run, each with an identity of its own."""
    first = len_of(store)
    with sqlite3.connect(store.uri.removeprefix("sqlite:///")) as base:
        for table in ("runs", "tags", "params", "latest_metrics"):
            columns = [row[1] for row in base.execute(f"pragma table_info({table})")]
            names = ", ".join(f'"{name}"' for name in columns)
            rows = base.execute(f"select {names} from {table} where run_uuid = ?", (template,)).fetchall()  # noqa: S608  # names of MLflow's schema
            marks = ", ".join("?" * len(columns))
            copies = [_copy(columns, row, n) for n in range(first, first + count) for row in rows]
            base.executemany(f"insert into {table} ({names}) values ({marks})", copies)  # noqa: S608  # names of MLflow's schema


def _copy(columns: list[str], row: tuple[object, ...], n: int) -> list[object]:
    """A row of the n-th copy: its own run and identity, all else the template's."""
    named = dict(zip(columns, row, strict=True)) | {"run_uuid": f"{n:032x}"}
    if named.get("key") == "identity":
        named["value"] = uuid.UUID(int=n + 1).hex
    return list(named.values())


def _median(function: Callable[[], object]) -> float:
    """Milliseconds of CPU time, which other programs on the machine hardly change."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        function()
        times.append(1000 * (time.process_time() - start))
    return statistics.median(times)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        with tempfile.TemporaryDirectory() as place:
            main(Path(place))
