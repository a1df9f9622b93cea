"""What is already known of audio files, so that a warm look-up reads none of them."""

import errno
import hashlib
import json
import os
import threading
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from filelock import FileLock

from src.data.audio import DECODING_VERSION, AudioStats, Window
from src.data.files import check_regular, open_regular
from src.data.writing import write_atomically

_FORMAT = 2
JOURNAL_BYTES = 1 << 16
"""The journal may grow to this, or to the size of the file that it adds to, before both become one."""
_EXCHANGE_SECONDS = 3.0
"""Between two looks at what others learnt, while files are read: each costs a reading of file and journal."""

_TICK_SECONDS = 0.02
"""Longer than the clock that files are stamped with stands still: a tick of the kernel is at most 10 ms."""

_Files = dict[str, list[Any]]
_Facts = dict[str, dict[str, Any]]


class AudioIndex:
    """Content digests of files by path, and facts of their clips by digest and window.

    A digest is trusted while path, size, inode, modification time and change time are those of the file that was read.
    A program can set the modification time back, but not the change time. A change time that moves without a change of
    content (by chmod or rename) costs another reading. Thread-safe; `save` merges with what other processes saved
    meanwhile. Losing the file costs time, never correctness.

    An extraction saves after each batch. Were everything written anew each time, the cost would grow with the square of
    the number of clips, so what is new is added to a journal beside the file.
    """

    def __init__(self, folder: Path, root: Path) -> None:
        """Open the index of the files below `root`, kept as a JSON file in `folder`, and its journal."""
        name = hashlib.sha256(os.fsencode(root.resolve())).hexdigest()[:16]
        self._path, self._journal = folder / f"{name}.json", folder / f"{name}.journal"
        self._root = root.resolve()
        self._lock = threading.Lock()
        self._files, self._facts, self._is_sound = self._read()
        self._new_files: _Files = {}
        self._new_facts: _Facts = {}
        self._exchanged = time.monotonic()

    def digest(self, path: Path, *, anew: bool = False) -> str:
        """SHA-256 of the file's bytes (64 hex digits).

        Where many are to be read, what was learnt is saved every few seconds, and what others learnt is taken over.

        Args:
            anew: read the file even where its digest is known.

        Raises:
            OSError: it is not a regular file, cannot be read, or changes while it is read.
        """
        key = os.path.relpath(path, self._root)
        known = self._files.get(key)
        if not anew and known is not None and known[:-1] == _state(check_regular(path)):
            return str(known[-1])
        with open_regular(path) as file:
            before = os.fstat(file.fileno())
            if -1 < time.time() - before.st_ctime < _TICK_SECONDS:
                time.sleep(_TICK_SECONDS)  # a change within the same tick would leave the same times
                before = os.fstat(file.fileno())
            digest = hashlib.file_digest(file, "sha256").hexdigest()
            if _state(os.fstat(file.fileno())) != _state(before):
                raise OSError(errno.EBUSY, "it changes while it is read")
        with self._lock:
            self._files[key] = self._new_files[key] = [*_state(before), digest]
            now = time.monotonic()
            if due := now - self._exchanged >= _EXCHANGE_SECONDS:
                self._exchanged = now
        if due:
            self.save()
            self.refresh()
        return digest

    def still_holds(self, path: Path, digest: str) -> bool:
        """Whether a file can be read and has this digest; it is read again where its state has changed."""
        try:
            return self.digest(path) == digest
        except OSError:
            return False

    def facts(self, digest: str, window: Window) -> AudioStats | None:
        """What decoding this content with this window found, if it is known."""
        known = self._facts.get(_facts_key(digest, window))
        return None if known is None else AudioStats(**known)

    def record(self, digest: str, window: Window, facts: AudioStats) -> None:
        """Remember what decoding found."""
        key = _facts_key(digest, window)
        with self._lock:
            self._facts[key] = self._new_facts[key] = asdict(facts)

    def refresh(self) -> None:
        """Learn what other processes saved meanwhile."""
        with self._lock:
            files, facts, self._is_sound = self._read()
            self._files, self._facts = files | self._files, facts | self._facts

    def save(self) -> None:
        """Keep what was learnt, besides what others did. A place that cannot be written is no error."""
        with self._lock:
            if not self._new_files and not self._new_facts:
                return
            try:
                self._path.parent.mkdir(parents=True, exist_ok=True)
                with FileLock(f"{self._path}.lock", timeout=60):
                    self._write()
            except OSError:
                return
            self._new_files, self._new_facts = {}, {}

    def _write(self) -> None:
        """Add a line to the journal, or, once that is as large as the file, make both one file."""
        line = json.dumps({"format": _FORMAT, "files": self._new_files, "facts": self._new_facts}).encode()
        if self._is_sound and _size(self._journal) + len(line) <= max(_size(self._path), JOURNAL_BYTES):
            with self._journal.open("ab") as file:
                file.write(b"\n" + line)  # first, so that a line which a kill cut off spoils no other
            return
        files, facts, _ = self._read()
        content = {"format": _FORMAT, "files": files | self._new_files, "facts": facts | self._new_facts}
        write_atomically(self._path, json.dumps(content).encode())
        self._journal.unlink(missing_ok=True)
        self._is_sound = True

    def _read(self) -> tuple[_Files, _Facts, bool]:
        """Files, facts, and whether the file itself is there and whole."""
        files: _Files = {}
        facts: _Facts = {}
        sound = self._take(self._path, files, facts) > 0
        self._take(self._journal, files, facts)
        return files, facts, sound

    @staticmethod
    def _take(path: Path, files: _Files, facts: _Facts) -> int:
        """Add what a file's lines hold, those of another format left out; how many could be read."""
        try:
            lines = path.read_bytes().split(b"\n")
        except OSError:
            return 0
        read = 0
        for line in filter(None, lines):
            try:
                content = json.loads(line)
                if content.get("format") != _FORMAT:
                    continue
                found = dict(content["files"]), dict(content["facts"])
            except (ValueError, KeyError, TypeError, AttributeError):
                continue
            files.update(found[0])
            facts.update(found[1])
            read += 1
        return read


def _state(found: os.stat_result) -> list[int]:
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _size(path: Path) -> int:
    """Bytes; 0 where there is no file."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _facts_key(digest: str, window: Window) -> str:
    return f"{digest}@{window.start!r}+{window.duration!r} v{DECODING_VERSION}"
