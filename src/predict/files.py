"""Files in, predictions out, in the order of the files: many are under way at once, few are held."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby, islice, repeat
from pathlib import Path
from threading import Lock
from typing import TypeVar

import numpy as np

from src.data.audio import AudioFile, AudioStats, UnreadableAudio, Window, resampled
from src.data.waveform import Waveform
from src.features.pipeline import Timer
from src.features.render_stats import ClipStats
from src.predict.windows import Cutting, Failure, Prediction, Scored
from src.tracking.checkpoint import TrainedModel

T = TypeVar("T")
R = TypeVar("R")


class _Windows:
    """The windows of one file, decoded one after the other by whichever thread asks next.

    So a file is read once from its beginning to its end, and only a few of its windows are in memory at a time.

    Attributes:
        file: its number. path: where it is. count: of windows.
    """

    def __init__(self, file: int, path: Path, cutting: Callable[[Path], Cutting]) -> None:
        """Open the file.

        Raises:
            UnreadableAudio: it cannot be used.
        """
        self.file, self.path = file, path
        self._audio = AudioFile(path)
        windows = cutting(path).windows(self._audio.frames / self._audio.sample_rate)
        self.count = self._left = len(windows)
        self._windows = iter(windows)
        self._lock = Lock()

    def take(self, timer: Timer) -> tuple[Window, Waveform, AudioStats]:
        """The next window, at the file's own rate.

        Raises:
            UnreadableAudio: it cannot be decoded.
        """
        with self._lock, timer("decode"):
            self._left -= 1
            try:
                window = next(self._windows)
                return window, *self._audio.clip(window)
            finally:
                if self._left == 0:
                    self._audio.close()


@dataclass(frozen=True, eq=False)
class _Piece:
    """A window under way, or why there is none.

    Attributes:
        file: its number. value: the backbone's input, then the probabilities.
    """

    file: int
    path: Path
    window: Window | None = None
    stats: ClipStats | None = None
    value: np.ndarray | None = None
    reason: str = ""


def predictions(
    files: Iterable[Path], model: TrainedModel, cutting: Callable[[Path], Cutting], *, workers: int, timer: Timer
) -> Iterator[Prediction | Failure]:
    """What the model says of each file; files that cannot be read are told, not raised.

    Args:
        cutting: how a file is cut. workers: threads. timer: takes seconds per stage, summed over threads.
    """
    size = model.pipeline.backbone.batch_size

    def prepared(source: _Windows | _Piece) -> _Piece:
        if isinstance(source, _Piece):
            return source
        try:
            window, waveform, facts = source.take(timer)
            with timer("picture"):
                value, rendered = model.pipeline.render(resampled(waveform, window.sample_rate), facts)
        except (UnreadableAudio, MemoryError) as error:
            reason = str(error) or f"{source.path}: too long for this memory"
            return _Piece(source.file, source.path, reason=reason)
        done = _Piece(source.file, source.path, window, ClipStats(facts, rendered), value)
        return _classified([done], model, timer)[0] if size == 1 else done

    cut = in_order(lambda one: _cut(*one, cutting), enumerate(files), workers)
    pieces = in_order(prepared, (source for found in cut for source in found), workers)
    if size > 1:
        pieces = (piece for batch in _batches(pieces, size) for piece in _classified(batch, model, timer))
    for _, found in groupby(pieces, key=lambda piece: piece.file):
        yield _joined(list(found))


def in_order(work: Callable[[T], R], items: Iterable[T], workers: int) -> Iterator[R]:
    """Results of `work` over threads in the order of the items; a few more than `workers` are begun and not taken."""
    pool = ThreadPoolExecutor(workers)
    begun: deque[Future[R]] = deque()
    try:
        for item in items:
            if len(begun) >= 2 * workers:
                yield begun.popleft().result()
            begun.append(pool.submit(work, item))
        while begun:
            yield begun.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _batches(pieces: Iterator[_Piece], size: int) -> Iterator[list[_Piece]]:
    while batch := list(islice(pieces, size)):
        yield batch


def _cut(number: int, path: Path, cutting: Callable[[Path], Cutting]) -> Iterable[_Windows | _Piece]:
    """The file's windows, once for each of them, or the reason that there are none."""
    try:
        windows = _Windows(number, path, cutting)
    except UnreadableAudio as error:
        return [_Piece(number, path, reason=str(error))]
    return repeat(windows, windows.count)


def _classified(pieces: list[_Piece], model: TrainedModel, timer: Timer) -> list[_Piece]:
    """The same pieces, with probabilities in place of the backbone's inputs."""
    inputs = [piece.value for piece in pieces if piece.value is not None]
    with timer("model"):
        rows = iter(model.classify(inputs))
    return [
        piece if piece.value is None else _Piece(piece.file, piece.path, piece.window, piece.stats, next(rows))
        for piece in pieces
    ]


def _joined(pieces: list[_Piece]) -> Prediction | Failure:
    scored = []
    for piece in pieces:
        if piece.window is None or piece.stats is None or piece.value is None:
            return Failure(piece.path, piece.reason)
        start, stats = piece.window.start, piece.stats
        warnings = tuple(stats.rendered.warnings())
        scored.append(Scored(start, start + stats.audio.duration, piece.value, warnings))
    # threads may have taken windows in another order than they were asked to
    return Prediction(pieces[0].path, tuple(sorted(scored, key=lambda one: one.start)))
