"""Every file decoded once: facts and fingerprint of each clip, both remembered by content."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from src.data.audio import DECODING_VERSION, AudioStats, UnreadableAudio, Window, decode, resampled
from src.data.clip import Clip, Dataset
from src.data.index import AudioIndex
from src.errors import printable
from src.features.cache import FEATURE_VERSION, FeatureCache, Row
from src.features.digests import FileDigests, read_digests, unreadable
from src.features.pipeline import ImageTransform, input_key
from src.features.render_stats import ROW, RenderStats
from src.features.workers import prepared
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
        cache: folder of all caches. workers: processes or threads. progress: told (files done, files to decode).
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
    clips: dict[str, Clip] = {}
    for clip in dataset.clips:
        if clip.id in contents.digests:
            clips.setdefault(contents.digests[clip.id], clip)
    missing = {d: clip for d, clip in clips.items() if d not in rows or contents.index.facts(d, window) is None}

    new, unusable = _examine(missing, contents, window, image_transform, store, dataset.name, workers, progress)
    rows |= new
    measured, failed = [], dict(contents.failed)
    for clip in dataset.clips:
        digest = contents.digests.get(clip.id)
        if digest in unusable:
            failed[clip.id] = unusable[digest].replace(printable(clips[digest].path), printable(clip.path))
        elif digest is not None:
            facts = contents.index.facts(digest, window)
            if facts is None:
                raise LookupError(f"{clip.id}: neither decoded nor known")
            drawn = len(rows[digest]) - ROW if image_transform is not None else len(rows[digest])
            found = Fingerprint.from_row(rows[digest][:drawn])
            rendered = RenderStats.from_row(rows[digest][drawn:]) if image_transform is not None else None
            measured.append(Measured(clip, digest, clip.path.stat().st_size, facts, found, rendered))
    return measured, failed


def _examine(
    clips: Mapping[str, Clip],
    contents: FileDigests,
    window: Window,
    image_transform: ImageTransform | None,
    store: FeatureCache,
    dataset: str,
    workers: int,
    progress: Progress | None,
) -> tuple[dict[str, Row], dict[str, str]]:
    """Fingerprints as rows, and messages of what cannot be decoded, both by digest; kept even when interrupted."""

    def examine(clip: Clip) -> tuple[Row, AudioStats]:
        waveform, facts = decode(clip.path, clip.cut(window))
        row = fingerprints.fingerprint(waveform).row()
        if image_transform is None:
            return row, facts
        drawn = resampled(waveform, image_transform.window.sample_rate)
        rendered = image_transform.stats(drawn, image_transform.picture(drawn), facts)
        return np.concatenate([row, rendered.row()]), facts

    index = contents.index
    rows: dict[str, Row] = {}
    unusable: dict[str, str] = {}
    waiting: dict[str, Row] = {}
    try:
        with prepared(examine, clips.items(), workers=workers, count=len(clips)) as results:
            for done, (digest, result) in enumerate(results, start=1):
                if isinstance(result, UnreadableAudio):
                    unusable[digest] = str(result)
                elif not contents.still_holds(clips[digest], digest):
                    unusable[digest] = unreadable(
                        clips[digest].path, "it changed after it was listed; run the same again"
                    )
                else:
                    rows[digest] = waiting[digest] = result[0]
                    index.record(digest, window, result[1])
                if len(waiting) >= _BATCH:
                    _keep(index, store, waiting, dataset)
                    waiting = {}
                if progress is not None:
                    progress(done, len(clips))
    finally:
        _keep(index, store, waiting, dataset)
    return rows, unusable


def _keep(index: AudioIndex, store: FeatureCache, rows: Mapping[str, Row], dataset: str) -> None:
    """Write facts and rows; a place that cannot be written costs time next time, nothing else."""
    index.save()
    if rows:
        with suppress(OSError):
            store.write(list(rows), np.stack(list(rows.values())), dataset=dataset)
