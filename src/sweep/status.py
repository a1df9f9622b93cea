"""Where each job of a sweep stands."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from src.errors import UserError
from src.evaluation.text_table import text_table
from src.features.digests import FileDigests
from src.features.labelled import Runtime, contents_at_hand
from src.tracking.ledger import Ledger
from src.tracking.owner import Owner
from src.tracking.store import RunRecord

if TYPE_CHECKING:
    from src.experiment import Experiment

State = Literal["done", "failed", "running", "missing"]


@dataclass(frozen=True)
class Cell:
    """One job of a sweep.

    Attributes:
        settings: what tells it from its siblings. state: where it stands. told: accuracy, reason, or who runs it.
        run: the finished run, or the one that failed or is under way.
    """

    settings: str
    state: State
    told: str
    run: RunRecord | None = None


class Survey:
    """Asks the ledger for jobs; computes nothing, makes no dataset."""

    def __init__(self, ledger: Ledger) -> None:
        """Reads what did not finish once, for all jobs."""
        self._ledger = ledger
        self._contents: dict[str, FileDigests | None] = {}
        self._open: dict[str, RunRecord] = {}
        for run in ledger.store.runs("attributes.status != 'FINISHED'"):
            self._open.setdefault(run.tags.get("identity", ""), run)

    def cell(self, settings: str, experiment: Callable[[], "Experiment"]) -> Cell:
        """Where one job stands; what it cannot be asked for is a reason, never an error."""
        try:
            job = experiment()
            contents = self._listed(job)
            if contents is None:
                return Cell(settings, "missing", f"{job.dataset.title} is not prepared here yet")
            identity = job.identity(contents)
        except UserError as error:
            return Cell(settings, "failed", _first_line(str(error)))
        run = self._ledger.finished(identity)
        if run is not None:
            return Cell(settings, "done", f"{run.metrics['test/accuracy']:.3f}", run)
        unfinished = self._open.get(identity)
        return Cell(settings, "missing", "") if unfinished is None else _unfinished(settings, unfinished)

    def _listed(self, job: "Experiment") -> FileDigests | None:
        """The dataset's clips and their files; None: they are not there."""
        key = json.dumps({**job.settings["dataset"], "data": job.paths.data}, sort_keys=True)
        if key not in self._contents:
            place = Runtime(Path(job.paths.data), Path(job.paths.cache), job.workers, lambda _: None)
            self._contents[key] = contents_at_hand(job.dataset, place)
        return self._contents[key]


def table(cells: Sequence[Cell]) -> str:
    """All cells, then how many there are of each state."""
    rows = [(str(i + 1), c.settings, c.state, c.told, c.run.run_id if c.run else "-") for i, c in enumerate(cells)]
    return text_table(("job", "settings", "state", "accuracy or reason", "run"), rows) + "\n\n" + counts(cells)


def counts(cells: Sequence[Cell]) -> str:
    """`135 jobs: 130 done, 2 failed, 3 missing`."""
    found = Counter(cell.state for cell in cells)
    states: tuple[State, ...] = ("done", "failed", "running", "missing")
    return f"{len(cells)} jobs: " + ", ".join(f"{found[state]} {state}" for state in states if found[state])


def _unfinished(settings: str, run: RunRecord) -> Cell:
    if run.status != "RUNNING":
        return Cell(settings, "failed", _first_line(run.tags.get("reason", run.status)), run)
    owner = Owner.of(run.tags)
    if owner is not None and owner.is_near and not owner.lives:
        return Cell(settings, "failed", f"{owner} is gone", run)
    return Cell(settings, "running", str(owner or "a process that left no name"), run)


def _first_line(text: str) -> str:
    return (text.strip().splitlines() or ["no reason given"])[0]
