"""What every seed said of every test clip, and which clips are worth a look."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float64, Int64

from src.tracking.cell import tested
from src.tracking.predictions import Predictions
from src.tracking.store import RunRecord


@dataclass(frozen=True, eq=False)
class Judged:
    """The test clips of a cell.

    Attributes:
        seeds: of the runs. groups: what a clip belongs to, None where unknown. seconds: of each clip.
        targets: position of each clip's true class. said: of the class that each seed chose.
    """

    seeds: tuple[int, ...]
    classes: tuple[str, ...]
    ids: tuple[str, ...]
    groups: tuple[str | None, ...]
    seconds: Float64[np.ndarray, " clips"]
    targets: Int64[np.ndarray, " clips"]
    said: Int64[np.ndarray, "seeds clips"]
    probabilities: Float64[np.ndarray, "seeds clips classes"]

    @cached_property
    def wrong(self) -> Bool[np.ndarray, "seeds clips"]:
        """Whether a seed got a clip wrong."""
        found: Bool[np.ndarray, "seeds clips"] = self.said != self.targets
        return found

    @cached_property
    def mistaken(self) -> Float64[np.ndarray, " clips"]:
        """Of the wrong class that seeds together hold most probable, its probability, a mean over seeds."""
        others = self.probabilities.mean(axis=0)
        others[np.arange(len(self.ids)), self.targets] = 0
        most: Float64[np.ndarray, " clips"] = others.max(axis=1)
        return most

    def confusion(self) -> Float64[np.ndarray, "classes classes"]:
        """Test clips by true class (rows) and chosen class, a mean over seeds."""
        counts = np.zeros((len(self.classes), len(self.classes)))
        for row in self.said:
            np.add.at(counts, (self.targets, row), 1)
        mean: Float64[np.ndarray, "classes classes"] = counts / len(self.seeds)
        return mean

    def in_cell(self, true: int, chosen: int) -> list[int]:
        """Clips of a class that any seed put into another (or the same): those that most seeds did, surest first.

        On the diagonal the least sure come first: the others are nothing to look at.
        """
        votes = (self.said == chosen).sum(axis=0)
        sure = self.probabilities[:, :, chosen].mean(axis=0)
        sign = 1 if true == chosen else -1
        members = np.flatnonzero((self.targets == true) & (votes > 0))
        return sorted(map(int, members), key=lambda clip: (sign * votes[clip], sign * sure[clip], clip))

    def confidently_wrong(self) -> list[int]:
        """Clips that most seeds get wrong, the most probable mistake first."""
        often = self.wrong.mean(axis=0) > 0.5
        return sorted(map(int, np.flatnonzero(often)), key=lambda clip: (-self.mistaken[clip], clip))

    def always_wrong(self) -> list[int]:
        """Clips that every seed gets wrong, in the order of the true class, the most probable mistake first."""
        clips = np.flatnonzero(self.wrong.all(axis=0))
        return sorted(map(int, clips), key=lambda clip: (self.targets[clip], -self.mistaken[clip], clip))

    def disputed(self) -> list[int]:
        """Clips that not all seeds put into the same class, the most evenly divided first."""
        clips = np.flatnonzero((self.said != self.said[0]).any(axis=0))
        return sorted(map(int, clips), key=lambda clip: (-self._division(clip), clip))

    def _division(self, clip: int) -> float:
        """Entropy of the seeds' votes, in nats."""
        shares = np.bincount(self.said[:, clip]) / len(self.seeds)
        shares = shares[shares > 0]
        return float(-(shares * np.log(shares)).sum())


def judged(runs: Sequence[RunRecord], predictions: Sequence[Predictions]) -> Judged:
    """What the runs of a cell said of the test clips that they share.

    Raises:
        UserError: they were tested on different clips, or a run's accuracy is not what its predictions say.
    """
    found, first = tested(predictions, runs), predictions[0]
    where = first.where("test")
    rows = []
    for other in predictions:
        position = {name: i for i, name in enumerate(other.ids)}
        columns = [other.classes.index(name) for name in first.classes]
        rows.append(other.probabilities[[position[name] for name in found.ids]][:, columns])
    return Judged(
        seeds=tuple(int(run.tags["seed"]) for run in runs),
        classes=found.classes,
        ids=found.ids,
        groups=found.groups,
        seconds=first.duration[where],
        targets=found.targets,
        said=found.predictions,
        probabilities=np.stack(rows),
    )


def siblings(run: RunRecord, runs: Sequence[RunRecord]) -> list[RunRecord]:
    """The run itself and the newest finished one of every other seed, by seed; a head without randomness has one run.

    Args:
        runs: of the store, newest first.
    """
    cell = run.tags.get("cell")
    same = [other for other in runs if other.status == "FINISHED" and cell and other.tags.get("cell") == cell]
    by_identity = {run.tags.get("identity"): run}
    for other in same:
        by_identity.setdefault(other.tags["identity"], other)
    return sorted(by_identity.values(), key=lambda one: int(one.tags["seed"]))
