"""The content-addressed cache: features are computed once per clip and pipeline, and survive anything."""

import hashlib
import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
from jaxtyping import Float32
from safetensors import SafetensorError, safe_open

from src.data.writing import write_atomically

log = logging.getLogger(__name__)

FEATURE_VERSION = 2
"""Raised by whoever changes what a picture or a feature is, or what is kept with it; older entries are never read."""

Row = Float32[np.ndarray, " features"]


def digest_of(settings: Mapping[str, Any]) -> str:
    """Name of a pipeline: SHA-256 of its settings as canonical JSON, 32 hex digits."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:32]


class FeatureCache:
    """Features of one pipeline (window, preprocess, spectrogram, backbone), by the audio's digest.

    A folder per pipeline holds `pipeline.json` and immutable segments, each a few clips' features with a checksum.
    Segments are written to a temporary name and renamed, so that any number of processes may read and write, and a
    killed one loses at most the batch in hand. A segment that fails its checksum is set aside and computed again.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        """Open (without creating) a pipeline's cache below `folder`; `settings` is all that determines a feature."""
        self.pipeline = dict(settings)
        self.folder = folder / digest_of(settings)

    def read(self, digests: Iterable[str], seen: set[str] | None = None) -> dict[str, Row]:
        """Cached features of these clips, those that are there; shape (features,) each.

        Args:
            seen: names of segments to pass over; those read are added.
        """
        wanted = set(digests)
        seen = set() if seen is None else seen
        found: dict[str, Row] = {}
        for path in sorted(path for path in self.folder.glob("*.safetensors") if path.name not in seen):
            seen.add(path.name)
            for digest, row in _read_segment(path):
                if digest in wanted:
                    found[digest] = row
            if len(found) == len(wanted):
                break
        return found

    def write(self, digests: Sequence[str], rows: Float32[np.ndarray, "clips features"], *, dataset: str) -> str:
        """Add one segment; its name. `dataset` is kept for the listing only.

        Raises:
            OSError: the place is full or cannot be written.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        pipeline = self.folder / "pipeline.json"
        if not pipeline.exists():
            write_atomically(pipeline, json.dumps(self.pipeline, indent=1, sort_keys=True).encode())
        rows = np.ascontiguousarray(rows, dtype=np.float32)
        names = json.dumps(list(digests))
        metadata = {"digests": names, "dataset": dataset, "checksum": _checksum(names, rows)}
        content = safetensors.numpy.save({"features": rows}, metadata=metadata)
        name = f"{hashlib.sha256(content).hexdigest()[:24]}.safetensors"
        write_atomically(self.folder / name, content)
        return name


def listing(folder: Path) -> list[dict[str, Any]]:
    """One entry per pipeline and dataset: pipeline digest, dataset, clips, bytes, days since last written, pipeline."""
    entries = []
    for pipeline in sorted(folder.glob("*/pipeline.json")):
        found: dict[str, dict[str, Any]] = {}
        for path in pipeline.parent.glob("*.safetensors"):
            metadata = _metadata(path)
            stat = path.stat()
            name = metadata.get("dataset", "?")
            entry = found.setdefault(name, {"clips": 0, "bytes": 0, "written": 0.0, "paths": []})
            entry["clips"] += len(json.loads(metadata.get("digests", "[]")))
            entry["bytes"] += stat.st_size
            entry["written"] = max(entry["written"], stat.st_mtime)
            entry["paths"].append(path)
        content = json.loads(pipeline.read_bytes())
        for name, entry in sorted(found.items()):
            days = (time.time() - entry.pop("written")) / 86400
            entries.append(
                {"pipeline": pipeline.parent.name, "dataset": name, "days": days, "settings": content, **entry}
            )
    return entries


def _read_segment(path: Path) -> list[tuple[str, Row]]:
    try:
        with safe_open(path, framework="np") as file:
            metadata, rows = file.metadata() or {}, file.get_tensor("features")
        names = metadata["digests"]
        if metadata["checksum"] == _checksum(names, rows):
            return list(zip(json.loads(names), rows, strict=True))
        reason = "its checksum does not match"
    except FileNotFoundError:
        return []
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        reason = str(error)
    log.warning("%s: corrupt (%s); set aside, its clips are computed again", path, reason)
    try:
        path.rename(path.with_suffix(".corrupt"))
    except OSError:
        log.warning("%s: could not be set aside; it is left unread", path)
    return []


def _metadata(path: Path) -> dict[str, str]:
    try:
        with safe_open(path, framework="np") as file:
            return dict(file.metadata() or {})
    except (SafetensorError, OSError):
        return {}


def _checksum(names: str, rows: Float32[np.ndarray, "clips features"]) -> str:
    return hashlib.sha256(names.encode() + str(rows.shape).encode() + rows.tobytes()).hexdigest()
