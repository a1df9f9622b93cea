"""From clips to a feature matrix: what the cache lacks is computed by every core and kept batch by batch."""

import logging
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from src.data.audio import AudioStats, UnreadableAudio
from src.data.clip import Clip
from src.errors import printable
from src.features.cache import FeatureCache, Row
from src.features.digests import FileDigests, unreadable
from src.features.pipeline import FeaturePipeline, Prepared
from src.features.render_stats import ROW, ClipStats, RenderStats
from src.features.sharing import WorkChunks
from src.features.workers import in_batches, prepared

log = logging.getLogger(__name__)
Progress = Callable[[int, int], None]

SEGMENT = 32
"""Clips that are written to the cache at a time, at most."""
_SEGMENT_SECONDS = 5.0


@dataclass
class Extraction:
    """Features of a dataset's usable clips.

    Attributes:
        clips: the usable ones, in the dataset's order.
        features: one row each.
        digests, facts, rendered: of each.
        failed: message for each unusable clip.
        computed: how many were not in the cache.
        seconds: per stage, summed over workers.
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
        contents: the clips and the digests of their files.
        pipeline: how a clip becomes features.
        cache: as in `read_digests`.
        workers: cores to use.
        progress: called with (clips done, clips to compute).
    """
    dataset, digests = contents.dataset, contents.digests
    job = _Extraction(contents, pipeline, FeatureCache(cache / "features", pipeline.key()), workers)
    job.read()
    if len(job.rows) < len(job.clips):
        job.share(progress)
    clips = [clip for clip in dataset.clips if digests.get(clip.id) in job.rows]
    used = [digests[clip.id] for clip in clips]
    failed = dict(contents.failed)
    for clip in dataset.clips:
        digest = digests.get(clip.id)
        if digest in job.unusable:  # copies of one file share its digest
            failed[clip.id] = job.unusable[digest].replace(printable(job.clips[digest].path), printable(clip.path))
    return Extraction(
        clips=clips,
        features=np.stack([job.rows[digest][:-ROW] for digest in used]) if used else np.zeros((0, 0), np.float32),
        digests=used,
        facts=[job.facts(digest) for digest in used],
        rendered=[RenderStats.from_row(job.rows[digest][-ROW:]) for digest in used],
        failed={clip.id: failed[clip.id] for clip in dataset.clips if clip.id in failed},
        computed=job.computed,
        seconds=dict(job.seconds),
    )


class _Extraction:
    """One extraction under way.

    Attributes:
        clips: by digest.
        rows: features by digest, each followed by what was rendered of the clip.
        unusable: message by digest.
    """

    def __init__(self, contents: FileDigests, pipeline: FeaturePipeline, cache: FeatureCache, workers: int) -> None:
        self.contents, self.dataset, self.index = contents, contents.dataset.name, contents.index
        self.clips = {contents.digests[c.id]: c for c in contents.dataset.clips if c.id in contents.digests}
        self.pipeline, self.cache, self.workers = pipeline, cache, workers
        self.rows: dict[str, Row] = {}
        self.unusable: dict[str, str] = {}
        self.computed = 0
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._segments: set[str] = set()

    def facts(self, digest: str) -> AudioStats:
        facts = self.index.facts(digest, self.pipeline.window)
        if facts is None:
            raise LookupError(f"{digest}: features without facts, although both are required")
        return facts

    def read(self) -> None:
        """Add the cached rows of clips whose facts are known too, from segments not read yet."""
        cached = self.cache.read(self.clips.keys() - self.rows.keys(), self._segments)
        if any(self.index.facts(digest, self.pipeline.window) is None for digest in cached):
            self.index.refresh()
        known = {d: row for d, row in cached.items() if self.index.facts(d, self.pipeline.window) is not None}
        self.rows.update(known)

    def share(self, progress: Progress | None) -> None:
        """Compute what is missing; processes that need the same clips at the same time divide them."""
        chunks, total = WorkChunks(self.cache.folder, self.clips), len(self.clips) - len(self.rows)

        def missing(digests: Sequence[str]) -> list[str]:
            if not all(digest in self.rows for digest in digests):
                self.read()
            return [digest for digest in digests if digest not in self.rows]

        def report() -> None:
            if progress is not None:
                progress(total - len(self.clips) + len(self.rows) + len(self.unusable), total)

        try:
            self._compute(chunks.free(missing), total, report)
            chunks.release()
            if chunks.some_are_busy:
                log.info("%s: another process computes the rest of these features, waiting for it", self.dataset)
            for digests in chunks.others(missing):
                self._compute(digests, len(digests), report)
        finally:
            chunks.release()

    def _compute(self, digests: Iterable[str], count: int, report: Callable[[], None]) -> None:
        """Keep features by digest in `rows` and, a segment at a time, in the cache, even when interrupted.

        What was rendered of a clip is kept with its features, so that a later run knows as much of it as this one.
        """
        waiting: dict[str, Row] = {}
        written = time.monotonic()
        clips = ((digest, self.clips[digest]) for digest in digests)
        try:
            with prepared(self._prepare, clips, workers=self.workers, count=count) as ready:
                for digest, result in in_batches(self._embed, ready, self.pipeline.backbone.batch_size):
                    clip = self.clips[digest]
                    if isinstance(result, UnreadableAudio):
                        self.unusable[digest] = str(result)
                    elif not self.contents.still_holds(clip, digest):
                        self.unusable[digest] = unreadable(
                            clip.path, "it changed after it was listed; run the same again"
                        )
                    else:
                        row, stats = result
                        self.index.record(digest, self.pipeline.window, stats.audio)
                        self.rows[digest] = waiting[digest] = np.concatenate([row, stats.rendered.row()])
                        self.computed += 1
                    if len(waiting) >= SEGMENT or (waiting and time.monotonic() - written > _SEGMENT_SECONDS):
                        self._write(waiting)
                        waiting, written = {}, time.monotonic()
                    report()
        finally:
            self._write(waiting)

    def _prepare(self, clip: Clip) -> Prepared:
        return self.pipeline.prepare(clip.path, clip.cut(self.pipeline.window))

    def _embed(self, clips: list[Prepared]) -> list[tuple[Row, ClipStats]]:
        start = time.perf_counter()
        rows = self.pipeline.backbone.embed([clip.value for clip in clips])
        self.seconds["backbone"] += time.perf_counter() - start
        for clip in clips:
            for stage, seconds in clip.seconds.items():
                self.seconds[stage] += seconds
        return [(row, clip.stats) for row, clip in zip(rows, clips, strict=True)]

    def _write(self, rows: Mapping[str, Row]) -> None:
        """Facts first: whoever finds features in the cache finds their facts."""
        self.index.save()
        if not rows:
            return
        try:
            self._segments.add(self.cache.write(list(rows), np.stack(list(rows.values())), dataset=self.dataset))
        except OSError as error:
            log.warning("%s: cannot keep features (%s); going on without", self.cache.folder, error.strerror)
