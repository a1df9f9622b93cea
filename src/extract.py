"""From clips to a feature matrix: what the cache lacks is computed by every core and kept batch by batch."""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np
from jaxtyping import Float32

from src.contents import Contents
from src.data.audio import Facts, UnreadableAudio
from src.data.clip import Clip
from src.data.index import AudioIndex
from src.features import FeatureCache, Row
from src.recipe import Recipe, Timer
from src.sharing import Pieces

log = logging.getLogger(__name__)
T = TypeVar("T")
R = TypeVar("R")
Progress = Callable[[int, int], None]

_BATCH = 32
_BATCH_SECONDS = 5.0
# Clips prepared while the backbone is loaded, which takes a second or two; about a megabyte each.
_AHEAD = 64


@dataclass
class Extraction:
    """Features of a dataset's usable clips.

    Attributes:
        clips: the usable ones, in the dataset's order. features: one row each. digests, facts: of each.
        failed: message for each unusable clip. computed: how many were not in the cache. seconds: per stage.
    """

    clips: list[Clip]
    features: Float32[np.ndarray, "clips features"]
    digests: list[str]
    facts: list[Facts]
    failed: dict[str, str]
    computed: int
    seconds: dict[str, float] = field(default_factory=dict)

    def chosen(self, positions: Sequence[int], clips: Sequence[Clip]) -> "Extraction":
        """The extraction of some clips, in the order of `positions`; `clips` are they, perhaps under other labels."""
        return replace(
            self,
            clips=list(clips),
            features=self.features[list(positions)],
            digests=[self.digests[i] for i in positions],
            facts=[self.facts[i] for i in positions],
        )


def extract(
    contents: Contents, recipe: Recipe, *, cache: Path, workers: int, progress: Progress | None = None
) -> Extraction:
    """Features of every clip, from the cache where they are there; unusable clips are listed, not raised.

    Args:
        cache: as in `read_contents`. workers: threads, one clip each at a time.
        progress: told (clips done, clips to compute).
    """
    dataset, digests = contents.dataset, contents.digests
    job = _Job(recipe, FeatureCache(cache / "features", recipe.key()), contents.index, dict(contents.failed))
    paths = {digests[clip.id]: clip for clip in dataset.clips if clip.id in digests}
    rows = job.known(paths)
    if len(rows) < len(paths):
        job.share(paths, rows, dataset.name, workers, progress)
    job.index.save()
    clips = [clip for clip in dataset.clips if digests.get(clip.id) in rows]
    for clip in dataset.clips:  # copies of one unusable file share its digest
        if digests.get(clip.id) in job.bad:
            job.failed.setdefault(clip.id, f"{clip.path}: {job.bad[digests[clip.id]]}")
    used = [digests[clip.id] for clip in clips]
    return Extraction(
        clips=clips,
        features=np.stack([rows[digest] for digest in used]) if used else np.zeros((0, 0), np.float32),
        digests=used,
        facts=[job.facts(digest) for digest in used],
        failed={clip.id: job.failed[clip.id] for clip in dataset.clips if clip.id in job.failed},
        computed=job.computed,
        seconds=dict(job.timer.seconds),
    )


class _Job:
    """One extraction under way."""

    def __init__(self, recipe: Recipe, store: FeatureCache, index: AudioIndex, failed: dict[str, str]) -> None:
        self.recipe, self.store, self.index, self.failed = recipe, store, index, failed
        self.timer = Timer()
        self.bad: dict[str, str] = {}
        self.computed = 0
        self._seen: set[str] = set()
        self._bare: dict[str, Row] = {}
        self._loading, self._loaded = threading.Lock(), threading.Event()
        self._ahead: deque[tuple[str, np.ndarray]] = deque()

    def facts(self, digest: str) -> Facts:
        """Facts of a clip whose features are known."""
        found = self.index.facts(digest, self.recipe.window)
        if found is None:
            raise LookupError(f"{digest}: features without facts, although known() asks for both")
        return found

    def known(self, digests: Collection[str]) -> dict[str, Row]:
        """Cached rows of those clips whose facts are known too, in segments not read yet."""
        rows = self._bare | self.store.read(digests, self._seen)
        if any(self.index.facts(digest, self.recipe.window) is None for digest in rows):
            self.index.refresh()
        # whoever computed them may be about to save the facts
        self._bare = {d: row for d, row in rows.items() if self.index.facts(d, self.recipe.window) is None}
        return {d: row for d, row in rows.items() if d not in self._bare}

    def share(
        self, clips: Mapping[str, Clip], rows: dict[str, Row], dataset: str, workers: int, progress: Progress | None
    ) -> None:
        """Add the features that `rows` lacks; processes that need the same ones at the same time share the work."""
        pieces, total = Pieces(self.store.folder, clips), len(clips) - len(rows)

        def lacking(digests: Sequence[str]) -> Sequence[str]:
            if not all(digest in rows for digest in digests):
                rows.update(self.known(clips.keys() - rows.keys()))
            return [digest for digest in digests if digest not in rows]

        def tell() -> None:
            if progress is not None:
                progress(total - len(clips) + len(rows) + len(self.bad), total)

        def compute(digests: Iterable[str]) -> None:
            items = ((digest, clips[digest]) for digest in digests)
            self._compute(items, rows, pieces, dataset, workers, tell)

        try:
            compute(pieces.free(lacking))
            if pieces.some_are_busy:
                log.info("%s: another process computes the rest of these features, waiting for it", dataset)
            for digests in pieces.others(lacking):
                compute(digests)
        finally:
            pieces.release()

    def _compute(
        self,
        clips: Iterable[tuple[str, Clip]],
        rows: dict[str, Row],
        pieces: Pieces,
        dataset: str,
        workers: int,
        tell: Callable[[], None],
    ) -> None:
        """Features of clips by digest, written to the cache a batch at a time, even when interrupted."""
        waiting: dict[str, Row] = {}
        written = time.monotonic()
        try:
            for digest, row in self._results(clips, workers):
                if row is None:
                    pieces.end([digest])
                else:
                    rows[digest] = waiting[digest] = row
                    self.computed += 1
                if len(waiting) >= _BATCH or (waiting and time.monotonic() - written > _BATCH_SECONDS):
                    self._write(waiting, pieces, dataset)
                    waiting, written = {}, time.monotonic()
                tell()
        finally:
            self._write(waiting, pieces, dataset)

    def _write(self, rows: Mapping[str, Row], pieces: Pieces, dataset: str) -> None:
        if not rows:
            return
        try:
            self._seen.add(self.store.write(list(rows), np.stack(list(rows.values())), dataset=dataset))
        except OSError as error:
            log.warning("%s: cannot keep features (%s); going on without", self.store.folder, error.strerror)
        self.index.save()
        pieces.end(rows)

    def _results(self, clips: Iterable[tuple[str, Clip]], workers: int) -> Iterator[tuple[str, Row | None]]:
        """Each clip's digest and features (None: unusable) as they are ready, a bounded number in flight."""
        size = self.recipe.backbone.batch_size
        if size == 1:
            yield from self._single(clips, workers)
            return
        prepared: list[tuple[str, np.ndarray]] = []
        for digest, value in _in_flight(lambda item: self._prepared(*item), clips, workers, max(4 * workers, size)):
            if value is None:
                yield digest, None
                continue
            prepared.append((digest, value))
            if len(prepared) == size:
                yield from self._embedded(prepared)
                prepared = []
        yield from self._embedded(prepared)

    def _single(self, clips: Iterable[tuple[str, Clip]], workers: int) -> Iterator[tuple[str, Row | None]]:
        """As `_results`, each clip by one worker; while the first one loads the backbone, the others prepare ahead."""

        def tasks() -> Iterator[Callable[[], tuple[str, Row | None] | None]]:
            for clip in clips:
                while self._ahead and self._loaded.is_set():
                    yield partial(self._embedded_one, *self._ahead.popleft())
                yield partial(self._one, *clip)

        for result in _in_flight(lambda task: task(), tasks(), workers, 4 * workers):
            if result is not None:
                yield result
        left = [self._ahead.popleft() for _ in range(len(self._ahead))]
        yield from _in_flight(lambda each: self._embedded_one(*each), left, workers, 4 * workers)

    def _one(self, digest: str, clip: Clip) -> tuple[str, Row | None] | None:
        """A clip's features; None: it is only prepared, and waits for the backbone."""
        digest, value = self._prepared(digest, clip)
        if value is None:
            return digest, None
        if self._loaded.is_set() or len(self._ahead) >= _AHEAD:
            return self._embedded_one(digest, value)
        if not self._loading.acquire(blocking=False):
            self._ahead.append((digest, value))
            return None
        try:
            return self._embedded_one(digest, value)
        finally:
            self._loaded.set()

    def _prepared(self, digest: str, clip: Clip) -> tuple[str, np.ndarray | None]:
        try:
            value, facts = self.recipe.prepare(clip.path, self.timer)
        except UnreadableAudio as error:
            self.failed[clip.id] = str(error)
            self.bad[digest] = f"same content as {clip.path}, which cannot be used"
            return digest, None
        self.index.record(digest, self.recipe.window, facts)
        return digest, value

    def _embedded_one(self, digest: str, value: np.ndarray) -> tuple[str, Row]:
        return self._embedded([(digest, value)])[0]

    def _embedded(self, prepared: Sequence[tuple[str, np.ndarray]]) -> list[tuple[str, np.ndarray]]:
        if not prepared:
            return []
        with self.timer("backbone"):
            rows = self.recipe.backbone.embed([value for _, value in prepared])
        return [(digest, row) for (digest, _), row in zip(prepared, rows, strict=True)]


def _in_flight(work: Callable[[T], R], items: Iterable[T], workers: int, limit: int) -> Iterator[R]:
    """Results of `work` over threads in the order they finish, at most `limit` begun and not taken."""
    pool = ThreadPoolExecutor(workers)
    futures: set[Future[R]] = set()
    try:
        for item in items:
            if len(futures) >= limit:
                ready, futures = wait(futures, return_when=FIRST_COMPLETED)
                yield from (future.result() for future in ready)
            futures.add(pool.submit(work, item))
        while futures:
            ready, futures = wait(futures, return_when=FIRST_COMPLETED)
            yield from (future.result() for future in ready)
    finally:
        pool.shutdown(cancel_futures=True)
