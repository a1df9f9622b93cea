"""Every file decoded once: facts and fingerprint of each clip, both remembered by content."""

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from src.data.audio import DECODING_VERSION, AudioStats, UnreadableAudio, Window, decode, resampled
from src.data.clip import Clip, Dataset
from src.data.index import AudioIndex
from src.errors import printable
from src.features.cache import FEATURE_VERSION, FeatureCache, Row
from src.features.digests import read_digests, unreadable
from src.features.pipeline import ImageTransform, input_key
from src.features.render_stats import ROW, RenderStats
from src.prepare.audit import fingerprint as fingerprints
from src.prepare.audit.fingerprint import Fingerprint

Progress = Callable[[int, int], None]
_BATCH = 256


@dataclass(frozen=True, eq=False)
class Measured:
    """One usable clip.

    Attributes:
        digest: SHA-256 of the file. size: of the file in bytes. facts: of the clip as recorded.
        rendered: what of it is drawn; None where nothing was to be drawn.
    """

    clip: Clip
    digest: str
    size: int
    facts: AudioStats
    fingerprint: Fingerprint
    rendered: RenderStats | None = None

    @property
    def bit_rate(self) -> float:
        """Of the whole file, in kbit/s."""
        return self.size * 8e-3 / self.facts.file_duration


def measure(
    dataset: Dataset,
    window: Window,
    image_transform: ImageTransform | None = None,
    *,
    cache: Path,
    workers: int,
    progress: Progress | None,
) -> tuple[list[Measured], dict[str, str]]:
    """Usable clips in the dataset's order, and a message for each unusable one by clip id.

    Args:
        window: the clip within each file; resampling is left out, a file's own rate being one of its facts.
        image_transform: how clips are drawn; None: they are not.
        cache: folder of all caches. workers: threads. progress: told (files done, files to decode).
    """
    window = replace(window, sample_rate=None)
    contents = read_digests(dataset, cache=cache, workers=workers)
    pipeline: dict[str, Any] = {
        "fingerprint": fingerprints.VERSION,
        "decoding": DECODING_VERSION,
        "window": window.key(),
    }
    if image_transform is not None:
        pipeline["image_transform"] = {
            **input_key(image_transform, "picture"),
            "sample_rate": image_transform.window.sample_rate,
        }
        pipeline["version"] = FEATURE_VERSION
    store = FeatureCache(cache / "fingerprints", pipeline)
    rows = store.read(contents.digests.values())
    paths: dict[str, Path] = {}
    for clip in dataset.clips:
        if clip.id in contents.digests:
            paths.setdefault(contents.digests[clip.id], clip.path)
    missing = {d: path for d, path in paths.items() if d not in rows or contents.index.facts(d, window) is None}
    new, bad = _Decoding(contents.index, window, image_transform, store, dataset.name).run(missing, workers, progress)
    rows |= new
    measured, failed = [], dict(contents.failed)
    for clip in dataset.clips:
        digest = contents.digests.get(clip.id)
        if digest in bad:
            failed[clip.id] = bad[digest].replace(printable(paths[digest]), printable(clip.path))
        elif digest is not None:
            facts = contents.index.facts(digest, window)
            if facts is None:
                raise LookupError(f"{clip.id}: neither decoded nor known")
            drawn = len(rows[digest]) - ROW if image_transform is not None else len(rows[digest])
            found = Fingerprint.from_row(rows[digest][:drawn])
            rendered = RenderStats.from_row(rows[digest][drawn:]) if image_transform is not None else None
            measured.append(Measured(clip, digest, clip.path.stat().st_size, facts, found, rendered))
    return measured, failed


class _Decoding:
    """Decoding under way; what it found is kept even when interrupted."""

    def __init__(
        self,
        index: AudioIndex,
        window: Window,
        image_transform: ImageTransform | None,
        store: FeatureCache,
        dataset: str,
    ) -> None:
        self.index, self.window, self.image_transform, self.store, self.dataset = (
            index,
            window,
            image_transform,
            store,
            dataset,
        )

    def run(
        self, paths: Mapping[str, Path], workers: int, progress: Progress | None
    ) -> tuple[dict[str, Row], dict[str, str]]:
        """Fingerprints as rows, and messages of what cannot be decoded, both by digest."""
        rows: dict[str, Row] = {}
        waiting: dict[str, Row] = {}
        bad: dict[str, str] = {}
        pool = ThreadPoolExecutor(workers)
        futures = {pool.submit(self.one, digest, path): digest for digest, path in paths.items()}
        try:
            for done, future in enumerate(as_completed(futures), start=1):
                digest = futures.pop(future)
                try:
                    rows[digest] = waiting[digest] = future.result()
                except UnreadableAudio as error:
                    bad[digest] = str(error)
                if len(waiting) >= _BATCH:
                    self.keep(waiting)
                    waiting = {}
                if progress is not None:
                    progress(done, len(paths))
        finally:
            pool.shutdown(cancel_futures=True)
            self.keep(waiting)
        return rows, bad

    def one(self, digest: str, path: Path) -> Row:
        """Decode, fingerprint and draw one file; its facts are recorded."""
        waveform, facts = decode(path, self.window)
        if not self.index.still_holds(path, digest):
            raise UnreadableAudio(unreadable(path, "it changed after it was listed; run the same again"))
        self.index.record(digest, self.window, facts)
        row = fingerprints.fingerprint(waveform).row()
        if self.image_transform is None:
            return row
        drawn = resampled(waveform, self.image_transform.window.sample_rate)
        return np.concatenate(
            [row, self.image_transform.stats(drawn, self.image_transform.picture(drawn), facts).row()]
        )

    def keep(self, rows: Mapping[str, Row]) -> None:
        """Write rows and facts; a place that cannot be written costs time next time, nothing else."""
        self.index.save()
        if rows:
            try:
                self.store.write(list(rows), np.stack(list(rows.values())), dataset=self.dataset)
            except OSError:
                return
