"""Regular files only, read at any position: a FIFO, a socket or a device may never end, or may act when opened."""

import errno
import io
import os
import stat
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import Any

from src.errors import UserError

KNOWN_KINDS = "expected WAV, FLAC, Ogg, MP3, AU or AIFF; ffmpeg -i in out.wav converts what it can read"
_BLOCK = 1 << 16
_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a character device",
    stat.S_IFBLK: "a block device",
}


def irregular(mode: int) -> str | None:
    """What a mode of `stat` stands for, e.g. `a FIFO`; None: a regular file."""
    return None if stat.S_ISREG(mode) else _KINDS.get(stat.S_IFMT(mode), "a special file")


def check_regular(path: Path) -> os.stat_result:
    """The state of a regular file, links resolved.

    Raises:
        OSError: there is no such file, or it is not a regular one.
    """
    state = path.stat()
    if kind := irregular(state.st_mode):
        raise OSError(errno.EINVAL, f"{kind}, not a regular file")
    return state


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading, links resolved.

    Raises:
        OSError: it cannot be opened, or is not a regular file.
    """
    check_regular(path)  # before it is opened, which may block, or rewind a tape
    return open(path, "rb", opener=_opened)


def _opened(path: str, flags: int) -> int:
    descriptor = os.open(path, flags | os.O_NONBLOCK)
    if kind := irregular(os.fstat(descriptor).st_mode):  # replaced meanwhile
        os.close(descriptor)
        raise OSError(errno.EINVAL, f"{kind}, not a regular file")
    return descriptor


class UnreadableAudio(UserError):
    """A file that holds no usable sound: not audio, empty, truncated, damaged, or nothing inside the window."""


class RegularFile:
    """A regular file, open for reading. Not thread-safe.

    Attributes:
        path: as given. size: in bytes. fd: file descriptor, closed by `close`.
    """

    def __init__(self, path: Path) -> None:
        """Open the file.

        Raises:
            UnreadableAudio: the file cannot be opened, is empty, or is a folder, FIFO, device or socket.
        """
        self.path = path
        self._block, self._begin = b"", 0
        try:
            self._stream = open_regular(path)
        except OSError as error:
            raise self.refusal(f"not readable as audio ({error.strerror})") from error
        self.fd = self._stream.fileno()
        self.size = os.fstat(self.fd).st_size
        if self.size == 0:
            self.close()
            raise self.refusal("an empty file")

    def __enter__(self) -> "RegularFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        self._stream.close()

    def refusal(self, reason: str) -> UnreadableAudio:
        """The error to raise where this file cannot be used."""
        return UnreadableAudio(f"{self.path}: {reason}")

    def read(self, at: int, count: int) -> bytes:
        """At most `count` bytes from position `at` on, fewer at the file's end."""
        if not self._begin <= at <= at + count <= self._begin + len(self._block):
            self._block, self._begin = os.pread(self.fd, max(count, _BLOCK), at), at
        return self._block[at - self._begin : at - self._begin + count]


class SplicedFile(io.RawIOBase):
    """Some bytes, then a range of a regular file, as one file to read and seek in.

    Args of the constructor: `head` comes first, then bytes `begin` to `end` (exclusive) of `file`, which stays open.
    """

    def __init__(self, file: RegularFile, begin: int, end: int, head: bytes = b"") -> None:
        """Start at the first byte."""
        super().__init__()
        self._file, self._begin, self._head = file, begin, head
        self._size, self._at = len(head) + end - begin, 0

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As of any file."""
        self._at = offset + (0, self._at, self._size)[whence]
        return self._at

    def tell(self) -> int:
        """Current position."""
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Fill `buffer` as far as there are bytes; returns their number."""
        count = max(0, min(len(buffer), self._size - self._at))
        found = self._head[self._at : self._at + count]
        if len(found) < count:
            place = self._begin + self._at + len(found) - len(self._head)
            found += os.pread(self._file.fd, count - len(found), place)
        buffer[: len(found)] = found
        self._at += len(found)
        return len(found)
