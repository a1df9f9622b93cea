"""From clips to their features as they come: who prepares them, and who runs the backbone."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial

from src.data.clip import Clip
from src.features.cache import Row
from src.features.pipeline import FeaturePipeline, Timer
from src.features.workers import Prepared, WorkerPool, in_flight, prepare

log = logging.getLogger(__name__)
Embedded = tuple[Prepared, Row | None]

# Clips prepared while the backbone is loaded, which takes a second or two; about a megabyte each.
_AHEAD = 64
# Fewer clips than this are done by threads before processes have begun.
_MANY = 100


class Embedding:
    """Features of clips by `workers` processors, a bounded number of clips under way."""

    def __init__(self, pipeline: FeaturePipeline, workers: int, timer: Timer) -> None:
        """`timer` takes seconds per stage, summed over workers."""
        self._recipe, self._workers, self._timer = pipeline, workers, timer
        self._loading, self._loaded = threading.Lock(), threading.Event()
        self._ahead: deque[Prepared] = deque()

    def rows(self, clips: Iterable[tuple[str, Clip]], many: int) -> Iterator[Embedded]:
        """Each clip with its features, None where it cannot be used, as they are ready.

        Args:
            clips: by digest, asked for as workers come free. many: about how many they are.
        """
        hands = self._hands(many)
        if self._recipe.backbone.batch_size > 1:
            yield from self._batches(self._prepared(clips, hands))
        elif hands is not None:
            yield from self._by_hands(clips, hands)
        else:
            yield from self._by_threads(clips)

    def _hands(self, many: int) -> WorkerPool | None:
        if self._workers == 1 or many < _MANY or not WorkerPool.can_be_had():
            return None
        try:
            return WorkerPool(self._workers)
        except OSError as error:
            log.info("clips are prepared by threads, not by processes: %s", error)
            return None

    def _prepared(self, clips: Iterable[tuple[str, Clip]], hands: WorkerPool | None) -> Iterator[Prepared]:
        """The clips up to the backbone's input."""
        if hands is None:
            limit = max(4 * self._workers, self._recipe.backbone.batch_size)
            found = in_flight(lambda item: prepare(self._recipe, *item), clips, self._workers, lambda: limit)
        else:
            found = hands.prepared(self._recipe, clips)
        for each in found:
            self._count(each)
            yield each

    def _count(self, prepared: Prepared) -> None:
        for stage, seconds in prepared.seconds.items():
            self._timer.add(stage, seconds)

    def _batches(self, clips: Iterable[Prepared]) -> Iterator[Embedded]:
        """A batch at a time, by the caller's thread."""
        waiting: list[Prepared] = []
        for each in clips:
            if each.value is None:
                yield each, None
                continue
            waiting.append(each)
            if len(waiting) == self._recipe.backbone.batch_size:
                yield from self._embedded(waiting)
                waiting = []
        yield from self._embedded(waiting)

    def _by_hands(self, clips: Iterable[tuple[str, Clip]], hands: WorkerPool) -> Iterator[Embedded]:
        """Processes prepare, threads embed."""

        def embedded(each: Prepared) -> Embedded:
            with hands.processor():
                result = self._embedded_one(each)
            self._loaded.set()
            return result

        def limit() -> int:
            return 4 * self._workers if self._loaded.is_set() else _AHEAD

        yield from in_flight(embedded, self._prepared(clips, hands), self._workers, limit)

    def _by_threads(self, clips: Iterable[tuple[str, Clip]]) -> Iterator[Embedded]:
        """Each clip by one worker; while the first one loads the backbone, the others prepare ahead."""

        def tasks() -> Iterator[Callable[[], Embedded | None]]:
            for clip in clips:
                while self._ahead and self._loaded.is_set():
                    yield partial(self._embedded_one, self._ahead.popleft())
                yield partial(self._one, *clip)

        def limit() -> int:
            return 4 * self._workers

        for result in in_flight(lambda task: task(), tasks(), self._workers, limit):
            if result is not None:
                yield result
        left = [self._ahead.popleft() for _ in range(len(self._ahead))]
        yield from in_flight(self._embedded_one, left, self._workers, limit)

    def _one(self, digest: str, clip: Clip) -> Embedded | None:
        """A clip's features; None: it is only prepared, and waits for the backbone."""
        prepared = prepare(self._recipe, digest, clip)
        self._count(prepared)
        if self._loaded.is_set() or len(self._ahead) >= _AHEAD or prepared.value is None:
            return self._embedded_one(prepared)
        if not self._loading.acquire(blocking=False):
            self._ahead.append(prepared)
            return None
        try:
            return self._embedded_one(prepared)
        finally:
            self._loaded.set()

    def _embedded_one(self, prepared: Prepared) -> Embedded:
        return (prepared, None) if prepared.value is None else self._embedded([prepared])[0]

    def _embedded(self, prepared: Sequence[Prepared]) -> list[Embedded]:
        values = [each.value for each in prepared if each.value is not None]
        if not values:
            return []
        with self._timer("backbone"):
            rows = self._recipe.backbone.embed(values)
        return list(zip(prepared, rows, strict=True))
