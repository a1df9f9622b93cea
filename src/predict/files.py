"""Files in, predictions out, in the order of the files: many are under way at once, few are held."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from src.data.audio import AudioFile, AudioStats, UnreadableAudio, Window, resampled
from src.data.waveform import Waveform
from src.evaluation.novelty import NearestClips
from src.features.pipeline import Prepared
from src.features.render_stats import ClipStats
from src.features.workers import in_batches, prepared
from src.predict.windows import Cutting, Failure, Prediction, Scored
from src.tracking.checkpoint import TrainedModel

Classified = tuple[np.ndarray, ClipStats, float | None]
Decoded = tuple[Path, Window, Waveform, AudioStats] | UnreadableAudio


def predictions(
    files: Sequence[Path],
    model: TrainedModel,
    cutting: Callable[[Path], Cutting],
    *,
    workers: int,
    nearest: NearestClips | None = None,
) -> Iterator[Prediction | Failure]:
    """Classify the windows of each file; a file that cannot be read is a failure, not an error.

    Args:
        files: audio files.
        model: a finished run.
        cutting: how a file is cut.
        workers: processes or threads.
        nearest: the training clips, where distances to them are asked for.
    """

    def render(source: Decoded) -> Prepared:
        if isinstance(source, UnreadableAudio):
            raise source
        path, window, waveform, facts = source
        try:
            value, rendered = model.pipeline.render(resampled(waveform, window.sample_rate), facts)
        except MemoryError as error:
            raise _too_long(path) from error
        return Prepared(value, ClipStats(facts, rendered), {})

    def classify(clips: list[Prepared]) -> list[Classified]:
        features = model.embed([clip.value for clip in clips])
        rows = model.head.predict_proba(features)
        distances = [None] * len(clips) if nearest is None else nearest.distance(features).tolist()
        return [(row, clip.stats, far) for row, clip, far in zip(rows, clips, distances, strict=True)]

    windows = _windows(files, cutting)
    with prepared(render, windows, workers=workers, count=len(files), in_order=True) as clips:
        scored = in_batches(classify, clips, model.pipeline.backbone.batch_size)
        for number, results in groupby(scored, key=lambda item: item[0][0]):
            yield _joined(files[number], list(results))


def _windows(files: Sequence[Path], cutting: Callable[[Path], Cutting]) -> Iterator[tuple[tuple[int, float], Decoded]]:
    """The windows of each file at its own rate, by the file's number and their start; or why there are none.

    They are decoded here, so that a file is read once from its beginning to its end.
    """
    for number, path in enumerate(files):
        try:
            with AudioFile(path) as audio:
                for window in cutting(path).windows(audio.frames / audio.sample_rate):
                    yield (number, window.start), (path, window, *audio.clip(window))
        except UnreadableAudio as error:
            yield (number, 0.0), error
        except MemoryError:
            yield (number, 0.0), _too_long(path)


def _too_long(path: Path) -> UnreadableAudio:
    return UnreadableAudio(f"{path}: too long for this memory")


def _joined(path: Path, results: list[tuple[tuple[int, float], Classified | UnreadableAudio]]) -> Prediction | Failure:
    windows, nyquist = [], 0.0
    for (_, start), result in results:
        if isinstance(result, UnreadableAudio):
            return Failure(path, str(result))
        probabilities, stats, distance = result
        warnings, nyquist = tuple(stats.rendered.warnings()), stats.audio.sample_rate / 2
        windows.append(Scored(start, start + stats.audio.duration, probabilities, warnings, distance))
    return Prediction(path, tuple(windows), nyquist)
