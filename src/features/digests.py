"""What the files of a dataset hold, by digest, before any is decoded."""

import hashlib
import json
import secrets
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from src.data.clip import Clip, Dataset
from src.data.duplicates import with_duplicates
from src.data.index import AudioIndex
from src.errors import printable


@dataclass(frozen=True, eq=False)
class FileDigests:
    """What a dataset's files hold, before any is decoded.

    Attributes:
        digests: SHA-256 of each clip's file by clip id; of an excerpt, of that and its place.
        failed: message for each file that cannot be read.
    """

    dataset: Dataset
    index: AudioIndex
    digests: dict[str, str]
    failed: dict[str, str]

    def digest(self) -> str:
        """What a result depends on of the data: each clip's name, content and group."""
        clips = self.dataset.clips
        lines = (json.dumps([clip.id, self.digests.get(clip.id), clip.label, clip.group]) for clip in clips)
        return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:32]

    def still_holds(self, clip: Clip, digest: str) -> bool:
        """Whether a clip's file can be read and its content has this digest; it is read again where it has changed."""
        try:
            return clip.content(self.index.digest(clip.path)) == digest
        except OSError:
            return False


def read_digests(dataset: Dataset, *, cache: Path, workers: int, anew: bool = False) -> FileDigests:
    """Digest every file; those unchanged since last time are not read, nor those that another process read meanwhile.

    Clips whose files hold the same bytes become one group; see `src.data.duplicates`.

    Args:
        cache: folder of the feature cache and of what is known of files.
        workers: threads.
        anew: read every file, whatever is known of it.
    """
    index = AudioIndex(cache / "index", dataset.root)

    def one(path: Path) -> str | OSError:
        try:
            return index.digest(path, anew=anew)
        except OSError as error:
            return error

    # Each process begins elsewhere, so that those that begin together do not all read the same files.
    paths = list(dict.fromkeys(clip.path for clip in dataset.clips))
    first = secrets.randbelow(len(paths)) if paths else 0
    paths = [*paths[first:], *paths[:first]]
    try:
        with ThreadPoolExecutor(workers) as pool:
            read = dict(zip(paths, pool.map(one, paths), strict=True))
    finally:
        index.save()
    found = [(clip, read[clip.path]) for clip in dataset.clips]
    digests = {clip.id: clip.content(digest) for clip, digest in found if isinstance(digest, str)}
    return FileDigests(
        with_duplicates(dataset, digests),
        index,
        digests=digests,
        failed={c.id: unreadable(c.path, e.strerror) for c, e in found if isinstance(e, OSError)},
    )


def unreadable(path: Path, reason: str | None) -> str:
    """Message for a file that cannot be read."""
    return f"{printable(path)}: cannot be read ({reason})"
