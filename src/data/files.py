"""Reading regular files only: a FIFO, a socket or a device may never end, or may act when it is opened."""

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

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
