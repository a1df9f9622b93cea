"""Where reports are made: cells by experiment, their scores, the paper's values beside them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from zlib import crc32

import numpy as np

from src.evaluation.statistics import Verdict, judge
from src.report import paper_values
from src.report.document import Source
from src.report.paper_values import Published
from src.tracking.cell import Cell, Score, score
from src.tracking.expected_cell import commands
from src.tracking.store import RunRecord

NETWORK, BASELINE = "network", "baseline"
_NAMED = 6


@dataclass(frozen=True, eq=False)
class Row:
    """One cell as tables show it.

    Attributes:
        score: None where there is no number. paper: what the paper got, if it did this.
        verdict: for recorded data with a paper's value.
    """

    cell: Cell
    score: Score | None
    paper: Published | None
    verdict: Verdict | None

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's; None for a stand-in, which is not the paper's data."""
        if self.score is None or self.paper is None or self.cell.origin != "recorded":
            return None
        return self.score.accuracy - self.paper.value


@dataclass
class ScoredCells:
    """The cells of some experiments, scored once each.

    Attributes:
        seed: of what is computed from random permutations.
    """

    cells: Sequence[Cell]
    seed: int = 0
    _rows: dict[int, Row] = field(default_factory=dict)

    def rng(self, name: str) -> np.random.Generator:
        """The same for the same name, whatever else a report computes."""
        return np.random.default_rng([self.seed, crc32(name.encode())])

    def of(self, *experiments: str) -> list[Row]:
        """Rows of some experiments, in the order of the files' axes."""
        return [self.row(cell) for cell in self.cells if cell.wanted.experiment in experiments]

    def find(
        self, experiment: str, title: str, condition: str | None = None, *, having: Callable[[Cell], bool] | None = None
    ) -> Row | None:
        """The first row of an experiment for a dataset and, if given, a condition."""
        for row in self.of(experiment):
            wanted = row.cell.wanted
            if wanted.title == title and condition in (None, wanted.condition) and (not having or having(row.cell)):
                return row
        return None

    def row(self, cell: Cell) -> Row:
        """A cell with its score and the paper's value."""
        if id(cell) not in self._rows:
            self._rows[id(cell)] = _row(cell)
        return self._rows[id(cell)]


def _row(cell: Cell) -> Row:
    scored = score(cell) if cell.tested is not None else None
    kind = classifier(cell)
    paper = paper_values.accuracy(cell.wanted.title, kind, cell.wanted.condition) if kind else None
    verdict = None
    if scored is not None and paper is not None and cell.origin == "recorded":
        verdict = judge(paper.value, cell.clips, scored.interval, "recorded")
    return Row(cell, scored, paper, verdict)


def classifier(cell: Cell) -> str:
    """`network` or `baseline` where the cell does what the paper did, whatever the network; else empty."""
    params = cell.wanted.params
    backbone, head = params["backbone._target_"].rpartition(".")[2], params["head._target_"].rpartition(".")[2]
    if (backbone, head) == ("Marsyas", "RandomForest"):
        return BASELINE
    drawn = params["spectrogram._target_"].endswith(".Asperes") and params["spectrogram.reference"] == "full_scale"
    trained = backbone in ("Auto", "Vision") and not cell.wanted.random_weights
    return NETWORK if trained and head == "Linear" and drawn else ""


def sources(cells: Iterable[Cell]) -> tuple[Source, ...]:
    """The runs behind cells."""
    return tuple(
        Source(
            cell.wanted.name,
            cell.origin,
            cell.made_by,
            tuple(_run(seed, run) for seed, run in zip(cell.seeds, cell.runs, strict=True)),
        )
        for cell in _distinct(cells)
    )


def _run(seed: int, run: RunRecord) -> tuple[int, str, float, str]:
    return seed, run.run_id, run.metrics.get("test/accuracy", float("nan")), run.tags.get("git_commit", "unknown")


def missing(cells: Iterable[Cell]) -> tuple[str, ...]:
    """Commands that make the runs which cells lack."""
    return tuple(commands([(cell.wanted, cell.missing) for cell in _distinct(cells) if cell.missing]))


def errors(cells: Iterable[Cell]) -> tuple[str, ...]:
    """Why cells give no number although they have runs."""
    return tuple(f"{cell.wanted.name}: {cell.error}" for cell in _distinct(cells) if cell.error)


def remarks(cells: Iterable[Cell]) -> tuple[str, ...]:
    """What a reader must know of the runs: stand-ins, other networks, repetitions, versions, unfinished runs."""
    found = _distinct(cells)
    runs = [run for cell in found for run in cell.runs]
    told = list(stand_ins(found))
    networks = sorted({run.tags["backbone"] for cell in found if cell.wanted.auto for run in cell.runs})
    if networks and networks != ["inception_2015"]:
        told.append(f"The network is {', '.join(networks)}, not the paper's Inception of 2015.")
    told += _counted(found)
    versions = sorted({run.tags.get("result_version", "unknown") for run in runs})
    if len(versions) > 1:
        told.append(f"Runs of different result versions ({', '.join(versions)}) stand side by side: not comparable.")
    commits = sorted({run.tags.get("git_commit", "unknown") for run in runs})
    if len(commits) > 1:
        told.append(f"Runs of {len(commits)} different commits: {', '.join(_short(commit) for commit in commits)}.")
    return tuple(told)


def stand_ins(cells: Iterable[Cell]) -> tuple[str, ...]:
    """Which datasets are synthesised, and what that means; nothing where none is."""
    rendered = dict.fromkeys(cell.wanted.title for cell in cells if cell.origin == "rendered")
    if not rendered:
        return ()
    return (
        f"Rendered stand-ins, whose numbers say nothing about the paper's recordings: {', '.join(rendered)}. The "
        "paper's values stand beside them for orientation only; no difference and no verdict is drawn.",
    )


def _counted(cells: Sequence[Cell]) -> list[str]:
    told = []
    rerun, left = sum(cell.rerun for cell in cells), sum(cell.left_out for cell in cells)
    if rerun:
        told.append(f"Of runs repeated for one cell and seed the newest counts; {rerun} older left out.")
    if left:
        told.append(f"{left} finished runs with the same settings but other data or another network are left out.")
    partial = [cell.wanted.name for cell in cells if cell.runs and cell.missing]
    if partial:
        told.append(f"Fewer seeds than wanted: {_some(partial)}.")
    ended = [f"{cell.wanted.name} {how}" for cell in cells for how in cell.ended]
    if ended:
        told.append(f"Not finished, so not counted: {_some(ended)}.")
    return told


def _some(names: Sequence[str]) -> str:
    shown = "; ".join(names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown}; and {len(names) - _NAMED} more"


def _distinct(cells: Iterable[Cell]) -> list[Cell]:
    return list({id(cell): cell for cell in cells}.values())


def _short(commit: str) -> str:
    return commit[:8] + "+changes" * commit.endswith("+changes")
