"""A cell of a table: the runs of one configuration over several seeds, and what they got right."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import mean, stdev

import numpy as np
from jaxtyping import Bool, Int64

from src.errors import UserError
from src.evaluation import comparison, metrics
from src.evaluation.intervals import Clusters, Interval, accuracy_interval, macro_f1_interval
from src.tracking.expected_cell import ExpectedCell
from src.tracking.naming import FROZEN, backbone_of, made_by, transfer_of
from src.tracking.predictions import Predictions
from src.tracking.store import RunRecord


@dataclass(frozen=True, eq=False)
class Tested:
    """The test clips of a cell and what each seed's run said of them.

    Attributes:
        classes: labels in the order of the classifier's outputs.
        targets: position of each clip's true class. predictions: of the class that was predicted.
    """

    ids: tuple[str, ...]
    groups: tuple[str | None, ...]
    classes: tuple[str, ...]
    targets: Int64[np.ndarray, " clips"]
    predictions: Int64[np.ndarray, "seeds clips"]

    @property
    def correct(self) -> Bool[np.ndarray, "seeds clips"]:
        """Whether a seed's run got a clip right."""
        right: np.ndarray = self.predictions == self.targets
        return right

    @property
    def chance(self) -> float:
        """Share of the largest class among the test clips: what always saying it gets right."""
        return float(np.bincount(self.targets).max() / len(self.targets))


@dataclass(frozen=True)
class Score:
    """What a cell shows; all in 0..1.

    Attributes:
        accuracy: mean over seeds. interval: 95 %, None where all test clips are of one group.
        deviation: standard deviation of the accuracy over seeds, None for one seed.
        macro_f1, macro_f1_interval: likewise.
    """

    accuracy: float
    interval: Interval | None
    deviation: float | None
    macro_f1: float
    macro_f1_interval: Interval | None


@dataclass(frozen=True, eq=False)
class Cell:
    """What the store has for a wanted cell.

    Attributes:
        runs: the newest finished one of each seed wanted, in the order of seeds. rerun: older finished ones, left out.
        ended: for seeds without a finished run, how the newest one ended. error: why the runs give no number.
        left_out: runs of these settings with other data or another network than the report shows.
    """

    wanted: ExpectedCell
    runs: tuple[RunRecord, ...] = ()
    rerun: int = 0
    ended: tuple[str, ...] = ()
    left_out: int = 0
    predictions: Predictions | None = None
    tested: Tested | None = None
    error: str = ""

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of its runs."""
        return tuple(int(run.tags["seed"]) for run in self.runs)

    @property
    def missing(self) -> tuple[int, ...]:
        """Seeds wanted that have no finished run; where the seed changes nothing, any run will do."""
        if self.runs and not self.wanted.seeded:
            return ()
        return tuple(seed for seed in self.wanted.seeds if seed not in self.seeds)

    @property
    def origin(self) -> str:
        """`recorded` or `rendered`; empty where there are no runs."""
        return self.runs[0].tags["origin"] if self.runs else ""

    @property
    def made_by(self) -> str:
        """Picture, backbone with its weights and head, for a person."""
        return made_by(self.runs[0].tags) if self.runs else ""

    @property
    def backbone(self) -> str:
        """The backbone and its weights in a few words."""
        return backbone_of(self.runs[0].tags) if self.runs else ""

    @property
    def accuracies(self) -> list[float]:
        """Of each run, 0..1."""
        return [] if self.tested is None else [float(row.mean()) for row in self.tested.correct]

    @property
    def clips(self) -> int:
        """Number of test clips."""
        return 0 if self.tested is None else len(self.tested.ids)

    @property
    def clusters(self) -> Clusters | None:
        """The test clips and their groups."""
        return None if self.tested is None else Clusters.of(self.tested.groups, self.clips)

    @property
    def finetuned(self) -> bool:
        """Whether more than the head was trained."""
        return any(transfer_of(run.tags) != FROZEN for run in self.runs)

    @cached_property
    def compared(self) -> comparison.Cell:
        """As paired comparison takes it.

        Raises:
            UserError: it has no number.
        """
        if self.tested is None:
            raise UserError(f"{self.wanted.name}: {self.error or 'no finished runs'}")
        found = self.tested
        return comparison.Cell(self.wanted.name, found.ids, found.correct, found.groups, self.finetuned)


def tested(predictions: Sequence[Predictions], runs: Sequence[RunRecord]) -> Tested:
    """The test clips that all runs of a cell share.

    Raises:
        UserError: they were not tested on the same clips under the same labels, or a run's accuracy is not what its
            predictions say.
    """
    first = predictions[0]
    where = first.where("test")
    ids = tuple(first.ids[i] for i in where)
    truth = {first.ids[i]: first.labels[i] for i in where}
    number = {label: i for i, label in enumerate(first.classes)}
    said = []
    for run, other in zip(runs, predictions, strict=True):
        told = {other.ids[i]: (other.labels[i], other.predicted[i]) for i in other.where("test")}
        _same_test(run, runs[0], truth, {clip: label for clip, (label, _) in told.items()})
        said.append([number[told[clip][1]] for clip in ids])
    groups = tuple(first.groups[i] for i in where)
    targets = np.array([number[truth[clip]] for clip in ids], dtype=np.int64)
    found = Tested(ids, groups, first.classes, targets, np.array(said, dtype=np.int64))
    _same_accuracy(found, runs)
    return found


def score(cell: Cell) -> Score:
    """Accuracy, macro F1 and their intervals.

    Raises:
        UserError: the cell has no number.
    """
    found = cell.tested
    if found is None:
        raise UserError(f"{cell.wanted.name}: {cell.error or 'no finished runs'}")
    accuracies, groups, classes = cell.accuracies, found.groups, len(found.classes)
    f1 = [metrics.macro_f1(metrics.confusion_matrix(found.targets, row, classes)) for row in found.predictions]
    return Score(
        accuracy=mean(accuracies),
        interval=accuracy_interval(found.correct, groups),
        deviation=stdev(accuracies) if len(accuracies) > 1 else None,
        macro_f1=mean(f1),
        macro_f1_interval=macro_f1_interval(found.targets, found.predictions, classes, groups),
    )


def _same_test(run: RunRecord, first: RunRecord, truth: dict[str, str], told: dict[str, str]) -> None:
    if not truth:
        raise UserError(f"run {run.run_id}: its predictions name no test clips")
    if told != truth:
        lacking, extra = len(truth.keys() - told.keys()), len(told.keys() - truth.keys())
        other = sum(told[clip] != truth[clip] for clip in truth.keys() & told.keys())
        raise UserError(
            f"runs {first.run_id} and {run.run_id} were tested on different clips: {lacking} only in the first, "
            f"{extra} only in the second, {other} under another label; expected the same for every seed. "
            "Run both again on the same data (force=true)"
        )


def _same_accuracy(found: Tested, runs: Sequence[RunRecord]) -> None:
    for run, correct in zip(runs, found.correct, strict=True):
        logged = run.metrics.get("test/accuracy", float("nan"))
        if not abs(logged - correct.mean()) < 1e-6:
            raise UserError(
                f"run {run.run_id}: its accuracy was logged as {logged:.4f}, but its predictions give "
                f"{correct.mean():.4f}; run it again with force=true"
            )
