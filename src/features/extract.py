"""From clips to a feature matrix: what the cache lacks is computed by every core and kept batch by batch."""

import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from src.data.audio import AudioStats
from src.data.clip import Clip
from src.data.index import AudioIndex
from src.errors import printable
from src.features.cache import FeatureCache, Row
from src.features.digests import FileDigests, unreadable
from src.features.embedding import Embedded, Embedding
from src.features.pieces import WorkChunks
from src.features.pipeline import FeaturePipeline, Timer
from src.features.render_stats import ROW, RenderStats
from src.features.workers import Prepared, killed_told

log = logging.getLogger(__name__)
Progress = Callable[[int, int], None]

_BATCH = 32
_BATCH_SECONDS = 5.0


@dataclass
class Extraction:
    """Features of a dataset's usable clips.

    Attributes:
        clips: the usable ones, in the dataset's order. features: one row each. digests, facts, rendered: of each.
        failed: message for each unusable clip. computed: how many were not in the cache. seconds: per stage.
    """

    clips: list[Clip]
    features: Float32[np.ndarray, "clips features"]
    digests: list[str]
    facts: list[AudioStats]
    rendered: list[RenderStats]
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
            rendered=[self.rendered[i] for i in positions],
        )


def extract(
    contents: FileDigests, pipeline: FeaturePipeline, *, cache: Path, workers: int, progress: Progress | None = None
) -> Extraction:
    """Features of every clip, from the cache where they are there; unusable clips are listed, not raised.

    Args:
        cache: as in `read_digests`. workers: cores to use, by processes for many clips and by threads for few.
        progress: told (clips done, clips to compute).
    """
    dataset, digests = contents.dataset, contents.digests
    job = _Job(pipeline, FeatureCache(cache / "features", pipeline.key()), contents.index, dict(contents.failed))
    paths = {digests[clip.id]: clip for clip in dataset.clips if clip.id in digests}
    rows = job.known(paths)
    if len(rows) < len(paths):
        job.share(paths, rows, dataset.name, workers, progress)
    job.index.save()
    clips = [clip for clip in dataset.clips if digests.get(clip.id) in rows]
    for clip in dataset.clips:  # copies of one unusable file share its digest
        if digests.get(clip.id) in job.bad:
            job.failed.setdefault(clip.id, f"{printable(clip.path)}: {job.bad[digests[clip.id]]}")
    used = [digests[clip.id] for clip in clips]
    return Extraction(
        clips=clips,
        features=np.stack([rows[digest][:-ROW] for digest in used]) if used else np.zeros((0, 0), np.float32),
        digests=used,
        facts=[job.facts(digest) for digest in used],
        rendered=[RenderStats.from_row(rows[digest][-ROW:]) for digest in used],
        failed={clip.id: job.failed[clip.id] for clip in dataset.clips if clip.id in job.failed},
        computed=job.computed,
        seconds=dict(job.timer.seconds),
    )


class _Job:
    """One extraction under way."""

    def __init__(
        self, pipeline: FeaturePipeline, store: FeatureCache, index: AudioIndex, failed: dict[str, str]
    ) -> None:
        self.pipeline, self.store, self.index, self.failed = pipeline, store, index, failed
        self.timer = Timer()
        self.bad: dict[str, str] = {}
        self.computed = 0
        self._seen: set[str] = set()
        self._bare: dict[str, Row] = {}

    def facts(self, digest: str) -> AudioStats:
        """AudioStats of a clip whose features are known."""
        found = self.index.facts(digest, self.pipeline.window)
        if found is None:
            raise LookupError(f"{digest}: features without facts, although known() asks for both")
        return found

    def known(self, digests: Collection[str]) -> dict[str, Row]:
        """Cached rows of those clips whose facts are known too, in segments not read yet."""
        rows = self._bare | self.store.read(digests, self._seen)
        if any(self.index.facts(digest, self.pipeline.window) is None for digest in rows):
            self.index.refresh()
        # whoever computed them may be about to save the facts
        self._bare = {d: row for d, row in rows.items() if self.index.facts(d, self.pipeline.window) is None}
        return {d: row for d, row in rows.items() if d not in self._bare}

    def share(
        self, clips: Mapping[str, Clip], rows: dict[str, Row], dataset: str, workers: int, progress: Progress | None
    ) -> None:
        """Add the features that `rows` lacks; processes that need the same ones at the same time share the work."""
        pieces, total = WorkChunks(self.store.folder, clips), len(clips) - len(rows)

        def lacking(digests: Sequence[str]) -> Sequence[str]:
            if not all(digest in rows for digest in digests):
                rows.update(self.known(clips.keys() - rows.keys()))
            return [digest for digest in digests if digest not in rows]

        def tell() -> None:
            if progress is not None:
                progress(total - len(clips) + len(rows) + len(self.bad), total)

        def compute(digests: Iterable[str], many: int) -> None:
            items = ((digest, clips[digest]) for digest in digests)
            embedded = Embedding(self.pipeline, workers, self.timer).rows(items, many)
            self._compute(embedded, rows, pieces, dataset, tell)

        try:
            with killed_told():
                compute(pieces.free(lacking), total)
                if pieces.some_are_busy:
                    log.info("%s: another process computes the rest of these features, waiting for it", dataset)
                for digests in pieces.others(lacking):
                    compute(digests, len(digests))
        finally:
            pieces.release()

    def _compute(
        self,
        clips: Iterable[Embedded],
        rows: dict[str, Row],
        pieces: WorkChunks,
        dataset: str,
        tell: Callable[[], None],
    ) -> None:
        """Keep features by digest in `rows` and, a batch at a time, in the cache, even when interrupted.

        What was drawn of a clip is kept with its features, so that a later run knows as much of it as this one.
        """
        waiting: dict[str, Row] = {}
        written = time.monotonic()
        try:
            for prepared, row in clips:
                if row is not None and prepared.stats is not None and self._is_same(prepared):
                    self.index.record(prepared.digest, self.pipeline.window, prepared.stats.audio)
                    kept = np.concatenate([row, prepared.stats.rendered.row()])
                    rows[prepared.digest] = waiting[prepared.digest] = kept
                    self.computed += 1
                else:
                    self._fail(prepared)
                    pieces.end([prepared.digest])
                if len(waiting) >= _BATCH or (waiting and time.monotonic() - written > _BATCH_SECONDS):
                    self._write(waiting, pieces, dataset)
                    waiting, written = {}, time.monotonic()
                tell()
        finally:
            self._write(waiting, pieces, dataset)

    def _is_same(self, clip: Prepared) -> bool:
        """Whether a clip's file is still the one that was listed."""
        return self.index.still_holds(clip.clip.path, clip.digest)

    def _fail(self, clip: Prepared) -> None:
        path = clip.clip.path
        reason = clip.reason or unreadable(path, "it changed after it was listed; run the same again")
        self.failed[clip.clip.id] = reason
        self.bad[clip.digest] = f"same content as {printable(path)}, which cannot be used"

    def _write(self, rows: Mapping[str, Row], pieces: WorkChunks, dataset: str) -> None:
        if not rows:
            return
        try:
            self._seen.add(self.store.write(list(rows), np.stack(list(rows.values())), dataset=dataset))
        except OSError as error:
            log.warning("%s: cannot keep features (%s); going on without", self.store.folder, error.strerror)
        self.index.save()
        pieces.end(rows)
