"""What is already known of audio files, so that a warm look-up reads none of them."""

import hashlib
import json
import os
import tempfile
import threading
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock

from src.data.audio import Facts, Window

_FORMAT = 1


class AudioIndex:
    """Content digests of files by path, and facts of their clips by digest and window.

    A digest is trusted while path, size, modification time and inode are unchanged. Thread-safe; `save` merges with
    what other processes saved meanwhile. Losing the file costs time, never correctness.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        """Open the index of the files below `root`, kept as one JSON file in `folder`."""
        name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
        self._path = folder / f"{name}.json"
        self._root = root.resolve()
        self._lock = threading.Lock()
        self._files, self._facts = self._read()
        self._changed = False

    def digest(self, path: Path) -> str:
        """SHA-256 of the file's bytes (64 hex digits).

        Raises:
            OSError: the file cannot be read.
        """
        stat = path.stat()
        state = [stat.st_size, stat.st_mtime_ns, stat.st_ino]
        key = os.path.relpath(path, self._root)
        known = self._files.get(key)
        if known is not None and known[:3] == state:
            return str(known[3])
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        with self._lock:
            self._files[key] = [*state, digest]
            self._changed = True
        return digest

    def facts(self, digest: str, window: Window) -> Facts | None:
        """What decoding this content with this window found, if it is known."""
        known = self._facts.get(_facts_key(digest, window))
        return None if known is None else Facts(**known)

    def record(self, digest: str, window: Window, facts: Facts) -> None:
        """Remember what decoding found."""
        with self._lock:
            self._facts[_facts_key(digest, window)] = asdict(facts)
            self._changed = True

    def refresh(self) -> None:
        """Learn what other processes saved meanwhile."""
        with self._lock:
            files, facts = self._read()
            self._files, self._facts = files | self._files, facts | self._facts

    def save(self) -> None:
        """Write what was learnt, merged with the file's present state. A place that cannot be written is no error."""
        with self._lock:
            if not self._changed:
                return
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with FileLock(f"{self._path}.lock", timeout=60):
                    files, facts = self._read()
                    content = {"format": _FORMAT, "files": files | self._files, "facts": facts | self._facts}
                    write_atomically(self._path, json.dumps(content).encode())
            except OSError:
                return
            self._changed = False

    def _read(self) -> tuple[dict[str, list[Any]], dict[str, dict[str, Any]]]:
        try:
            content = json.loads(self._path.read_bytes())
            if content["format"] == _FORMAT:
                return dict(content["files"]), dict(content["facts"])
        except (OSError, ValueError, KeyError, TypeError):
            pass
        return {}, {}


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary name beside `path`, then rename: a reader sees the old file or the new one, whole."""
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _facts_key(digest: str, window: Window) -> str:
    return f"{digest}@{window.start!r}+{window.duration!r}"
