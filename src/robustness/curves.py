"""How often a trained model is right about disturbed test clips."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int64

from src.data.audio import Window, decode
from src.errors import UserError
from src.evaluation import metrics
from src.evaluation.intervals import Interval, accuracy_interval
from src.features.digests import FileDigests
from src.features.extract import extract
from src.features.pipeline import FeaturePipeline, Prepared
from src.features.render_stats import ClipStats
from src.robustness.perturb import Disturbance
from src.tracking.checkpoint import TrainedModel

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Disturbed(FeaturePipeline):
    """A pipeline whose recordings are disturbed before anything else is done to them."""

    disturbance: Disturbance

    def key(self) -> dict[str, Any]:
        """The pipeline's own, and the disturbance."""
        return {**super().key(), "disturbance": self.disturbance.key()}

    def prepare(self, path: Path, window: Window | None = None) -> Prepared:
        """As `FeaturePipeline.prepare`; the stats of the audio are those of the recording as it is."""
        waveform, facts = decode(path, window or self.window)
        value, rendered = self.render(self.disturbance(waveform))
        return Prepared(value, ClipStats(facts, rendered), {})


@dataclass(frozen=True, eq=False)
class Clips:
    """Test clips of a run: their files, and the position of each one's class among the model's."""

    contents: FileDigests
    targets: Int64[np.ndarray, " clips"]

    @property
    def chance(self) -> float:
        """Share of the largest class: what always saying it gets right."""
        return float(np.bincount(self.targets).max() / len(self.targets))


@dataclass(frozen=True)
class Point:
    """Accuracy under one disturbance (None: without).

    Attributes:
        correct: test clips that the model got right, of `clips`.
        accuracy: 0..1. interval: 95 %, over clips, or over their groups; None where all are of one group.
    """

    disturbance: Disturbance | None
    correct: int
    clips: int
    accuracy: float
    interval: Interval | None


def measure(
    model: TrainedModel,
    clips: Clips,
    disturbances: Sequence[Disturbance],
    *,
    cache: Path,
    workers: int,
    progress: Progress | None = None,
) -> list[Point]:
    """The undisturbed point, then one for each disturbance; features go through the cache.

    Args:
        cache: as for `extract`. workers: cores to use. progress: told (clips done, clips in all) over all points.

    Raises:
        UserError: a clip cannot be read, or undisturbed the model is not as right as the run says.
    """
    total, points = len(clips.targets) * (1 + len(disturbances)), []
    for number, one in enumerate([None, *disturbances]):
        begun = number * len(clips.targets)

        def tell(done: int, lacking: int, begun: int = begun) -> None:
            if progress is not None:
                progress(begun + len(clips.targets) - lacking + done, total)

        points.append(_point(model, clips, one, cache, workers, tell))
        tell(0, 0)
        if one is None:
            _same(model, points[0])
    return points


def _point(
    model: TrainedModel, clips: Clips, disturbance: Disturbance | None, cache: Path, workers: int, tell: Progress
) -> Point:
    pipeline = model.pipeline
    if disturbance is not None:
        pipeline = Disturbed(pipeline.image_transform, pipeline.backbone, disturbance)
    found = extract(clips.contents, pipeline, cache=cache, workers=workers, progress=tell)
    if found.failed:
        raise UserError(f"{len(found.failed)} test clips cannot be read:\n  " + "\n  ".join(found.failed.values()))
    predicted = model.head.predict_proba(found.features).argmax(axis=1)
    confusion = metrics.confusion_matrix(clips.targets, predicted, len(model.classes))
    groups = [clip.group for clip in clips.contents.dataset.clips]
    return Point(
        disturbance,
        correct=int(np.trace(confusion)),
        clips=len(clips.targets),
        accuracy=metrics.accuracy(confusion),
        interval=accuracy_interval((predicted == clips.targets)[None], groups),
    )


def _same(model: TrainedModel, point: Point) -> None:
    stored = model.run.metrics["test/accuracy"]
    if point.accuracy != stored:
        raise UserError(
            f"run {model.run.run_id}: it was right about {stored:.4f} of its test clips, here the same clips give "
            f"{point.accuracy:.4f}; use the engine and device of the run (exact=true), or run it again with force=true"
        )


def chosen(contents: FileDigests, ids: Sequence[str], labels: Sequence[str], classes: Sequence[str]) -> Clips:
    """Some clips of a dataset under their labels.

    Raises:
        UserError: one is not there.
    """
    known = {clip.id: clip for clip in contents.dataset.clips}
    lacking = [name for name in ids if name not in contents.digests]
    if lacking:
        raise UserError(
            f"{contents.dataset.root}: {len(lacking)} of the run's {len(ids)} test clips are not there "
            f"({lacking[0]}); say where they are now with root=FOLDER"
        )
    dataset = replace(contents.dataset, clips=tuple(known[name] for name in ids))
    targets = np.array([classes.index(label) for label in labels], dtype=np.int64)
    return Clips(replace(contents, dataset=dataset, failed={}), targets)
