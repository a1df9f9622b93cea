"""A dataset made ready: found, fetched or rendered, listed in a manifest, and audited where asked."""

import logging
import os
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from src.cli.terminal import progress_bar
from src.config import build as configure
from src.data import dataset as datasets
from src.data import manifest, published, sources
from src.data.audio import UnreadableAudio, header
from src.data.clip import Dataset
from src.data.dataset import DatasetSettings
from src.data.paths import Paths
from src.errors import UserError, printable
from src.features.digests import FileDigests, read_digests
from src.tracking import provenance
from src.tracking.store import Store

log = logging.getLogger(__name__)


def make_ready(cfg: DictConfig) -> None:
    """Find, fetch or render the dataset of a configuration, write its manifest, say what was done.

    Raises:
        UserError: the source asked for cannot be had.
    """
    settings = configure.build("dataset", configure.plain_group(cfg, "dataset"), DatasetSettings)
    paths = configure.build("paths", configure.plain_group(cfg, "paths"), Paths)
    workers = configure.workers(cfg.workers)
    data = Path(paths.data)
    allow_missing = configure.parse_bool("allow_missing", cfg.allow_missing)
    fetched = replace(settings, source=_fetched(settings, data, allow_missing=allow_missing))
    show = progress_bar(f"{settings.title}: rendering") if configure.parse_bool("progress", cfg.progress) else None
    dataset = sources.load_dataset(fetched, data, workers=workers, progress=show)
    anew = configure.parse_bool("force", cfg.force)
    contents = read_digests(dataset, cache=Path(paths.cache), workers=workers, anew=anew)
    dataset = contents.dataset
    listed = data / ".manifests" / f"{settings.title}.json"
    listed.parent.mkdir(parents=True, exist_ok=True)
    manifest.write(listed, _manifest(settings, contents))
    _track(cfg, contents, listed)
    sys.stdout.write(describe(dataset) + f"\n  manifest: {listed}\n")
    if configure.parse_bool("audit", cfg.audit):
        from src.prepare.audit.audit import audit_dataset

        audit_dataset(cfg, dataset, settings)


def _track(cfg: DictConfig, contents: FileDigests, listed: Path) -> None:
    """One run per contents of a dataset in MLflow: what it is, what made it, clips a class, the manifest."""
    dataset, digest = contents.dataset, contents.digest()
    store = Store(*configure.tracking(cfg))
    if store.runs(f"tags.kind = 'prepare' AND tags.data_digest = '{digest}' AND attributes.status = 'FINISHED'"):
        return
    counts = Counter(clip.label for clip in dataset.clips)
    tags = {
        "kind": "prepare",
        "dataset": dataset.name,
        "origin": dataset.origin,
        "provenance": dataset.provenance,
        "data_digest": digest,
        **provenance.code_tags(),
    }
    with store.run(f"prepare-{dataset.name}", tags) as run, tempfile.TemporaryDirectory() as name:
        (Path(name) / "manifest.json").write_bytes(listed.read_bytes())
        run.artifacts(Path(name))
        each = {f"clips/{label}": float(count) for label, count in counts.items()}
        run.log(metrics={"clips": float(len(dataset.clips)), **each})


def _fetched(settings: DatasetSettings, data: Path, *, allow_missing: bool) -> str:
    """The source that will serve; a publication is downloaded where it is the first to be had."""
    name = settings.base or settings.title
    wanted = settings.source in ("auto", "published") and name in published.NAMES
    if not wanted or (settings.source == "auto" and datasets.recordings(settings) is not None):
        return settings.source
    if settings.source == "auto":
        sources.check_root(settings, data)
    where = sources.published_folder(data, name)
    if manifest.read(where) is not None:
        return "published"
    from src.data import render

    # Where a stand-in is at hand, a machine without network should not wait for one to appear.
    instead = settings.source == "auto" and name in render.names()
    retries = 1 if instead else 5
    try:
        downloads = data / ".downloads"
        published.fetch(name, downloads, where, progress=_Transfer(), allow_missing=allow_missing, retries=retries)
    except UserError as error:
        if not instead:
            raise
        log.warning("%s: the publication cannot be had, a stand-in is rendered instead.\n%s", settings.title, error)
        return "rendered"
    return "published"


class _Transfer:
    """Progress of a download: a bar for each thing that is fetched."""

    def __init__(self) -> None:
        self._bars: dict[str, Any] = {}

    def __call__(self, what: str, done: int, total: int | None) -> None:
        if total:
            self._bars.setdefault(what, progress_bar(what))(done, total)


def describe(dataset: Dataset) -> str:
    """Where a dataset comes from and how many clips each class has, for a person."""
    counts = Counter(clip.label for clip in dataset.clips)
    groups = {clip.group for clip in dataset.clips} - {None}
    lines = [
        f"{dataset.name}: {dataset.origin}, {len(dataset.clips)} clips in {printable(dataset.root)}",
        "  classes: " + ", ".join(f"{label} {counts[label]}" for label in dataset.classes),
        f"  made by: {dataset.provenance}",
        f"  groups: {len(groups) or 'not known (dataset.group_pattern)'}",
    ]
    return "\n".join(lines + [f"  note: {note}" for note in dataset.notes])


def _manifest(settings: DatasetSettings, contents: FileDigests) -> dict[str, Any]:
    dataset = contents.dataset
    known = manifest.read(dataset.root) or {"clips": []}
    durations = {entry["file"]: entry.get("duration") for entry in known["clips"]}
    clips = []
    for clip in dataset.clips:
        file, digest = Path(os.path.relpath(clip.path, dataset.root)).as_posix(), contents.digests.get(clip.id)
        duration = durations.get(file)
        if duration is None and digest is not None:
            duration = _duration(clip.path)
        described = {"file": printable(file), "label": clip.label, "group": clip.group}
        described |= {"source": clip.source or dataset.provenance, "licence": clip.licence}
        clips.append({**described, "duration": duration, "digest": digest})
    head = {"dataset": settings.title, "origin": dataset.origin, "provenance": dataset.provenance}
    return {**head, "root": printable(dataset.root), "notes": list(dataset.notes), "clips": clips}


def _duration(path: Path) -> float | None:
    try:
        return round(header(path).seconds, 3)
    except UnreadableAudio:
        return None
