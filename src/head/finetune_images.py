"""Squashed pictures of clips on disk, a file each, so that training reads what a batch needs and holds no more."""

import hashlib
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from jaxtyping import UInt8

from src.backbone.frozen import FrozenNetwork
from src.data.audio import decode
from src.data.clip import Clip
from src.data.files import open_regular
from src.data.writing import write_atomically
from src.errors import UserError, printable
from src.features.cache import digest_of
from src.features.pipeline import FeaturePipeline

log = logging.getLogger(__name__)

_CHECK = 32  # bytes of SHA-256 before the pixels
Image = UInt8[np.ndarray, "channels size size"]


@dataclass(frozen=True)
class Pictures:
    """Pictures of one pipeline below a cache's folder, by the audio's digest; whatever network they are for.

    Attributes:
        folder: of this pipeline. pipeline: how they are made. network: squashes them.
    """

    folder: Path
    pipeline: FeaturePipeline
    network: FrozenNetwork

    @classmethod
    def of(cls, cache: Path, pipeline: FeaturePipeline, network: FrozenNetwork) -> "Pictures":
        """Open (without creating) those of a pipeline below `cache`."""
        key: dict[str, Any] = {**pipeline.key(), "backbone": network.pixels_key}
        return cls(cache / "pictures" / digest_of(key), pipeline, network)

    def complete(
        self, clips: Mapping[str, Clip], workers: int, progress: Callable[[int, int], None] | None = None
    ) -> None:
        """Make those that are not there, or damaged; processes that need the same ones wait for each other.

        Args:
            clips: by the digest of their audio. workers: threads. progress: told (done, to be done).

        Raises:
            OSError: the place is full or cannot be written.
            UserError: a file cannot be read, or is not the one whose digest is given.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".lock"), ThreadPoolExecutor(workers) as pool:
            missing = [digest for digest in clips if self._read(digest) is None]
            for done, _ in enumerate(pool.map(lambda digest: self._make(digest, clips[digest]), missing), start=1):
                if progress is not None:
                    progress(done, len(missing))

    def of_clip(self, digest: str) -> Image:
        """One picture, made before."""
        found = self._read(digest)
        if found is None:
            raise FileNotFoundError(f"{self._path(digest)}: removed or damaged while it was in use")
        return found

    def _path(self, digest: str) -> Path:
        return self.folder / f"{digest}.pixels"

    def _make(self, digest: str, clip: Clip) -> None:
        waveform, _ = decode(clip.path, self.pipeline.window)
        with open_regular(clip.path) as file:
            if hashlib.file_digest(file, "sha256").hexdigest() != digest:
                raise UserError(f"{printable(clip.path)}: it changed after it was listed; run the same again")
        pixels = self.network.pixels(self.pipeline.image_transform.picture(waveform)).tobytes()
        write_atomically(self._path(digest), hashlib.sha256(pixels).digest() + pixels)

    def _read(self, digest: str) -> Image | None:
        with suppress(OSError):
            content = self._path(digest).read_bytes()
            if hashlib.sha256(content[_CHECK:]).digest() == content[:_CHECK]:
                size = self.network.pixels_key["size"]
                found: Image = np.frombuffer(content, np.uint8, offset=_CHECK).reshape(-1, size, size)
                return found
            log.warning("%s: damaged; made again", self._path(digest))
        return None
