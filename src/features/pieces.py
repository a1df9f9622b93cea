"""One extraction by many processes, on one machine or several that share the cache: each takes pieces nobody has."""

import logging
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

log = logging.getLogger(__name__)

PIECE = 32
"""Clips in a piece, at most about: what a process that joins may have to wait for."""
_SMALLEST = 4
_PIECES = 100
"""Of a small dataset there are about so many pieces, so that processes that share it end at about the same time."""


class WorkChunk:
    """Some clips of a dataset, computed by one process at a time; a dead one's piece is free at once."""

    def __init__(self, path: Path, digests: Sequence[str]) -> None:
        """`path` is the lock file; `digests` name the clips."""
        self.digests = digests
        self._path = path
        self._left: set[str] | None = None
        self._lock: FileLock | None = None

    def take(self, *, wait: bool) -> bool:
        """Hold it; False: another process does, and this one was not to wait. A read-only place is free for all."""
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._path)
            lock.acquire(timeout=-1 if wait else 0)
            self._lock = lock
        except TimeoutError:
            return False
        except OSError as error:
            told = "%s: cannot be written (%s); features are computed but not kept"
            log.warning(told, self._path.parent, error.strerror)
        return True

    def begin(self, digests: Collection[str]) -> None:
        """These clips of it are to be computed; none: it is done."""
        self._left = set(digests)
        self.end(())

    def end(self, digests: Collection[str]) -> None:
        """These clips are written, or cannot be; with the last of those begun it is free."""
        if self._left is None:
            return
        self._left -= set(digests)
        if not self._left:
            self.release()

    def release(self) -> None:
        """Let others have it."""
        self._left = None
        if self._lock is not None:
            # a file that another process just opened is then locked in vain: it computes what is there, no worse
            with suppress(OSError):
                self._path.unlink()
            self._lock.release()
            self._lock = None


class WorkChunks:
    """A dataset's clips in pieces, the same for every process that has the same clips."""

    def __init__(self, folder: Path, digests: Collection[str]) -> None:
        """WorkChunks of clips whose features are kept in `folder`."""
        count = -(-len(digests) // min(max(len(digests) // _PIECES, _SMALLEST), PIECE))
        named: dict[int, list[str]] = {}
        for digest in sorted(digests):
            named.setdefault(int(digest[:8], 16) % count, []).append(digest)
        self._all = [WorkChunk(folder / f".piece-{i}-of-{count}.lock", members) for i, members in sorted(named.items())]
        self._busy: list[WorkChunk] = []
        self._held: list[WorkChunk] = []

    def free(self, lacking: Callable[[Sequence[str]], Sequence[str]]) -> Iterator[str]:
        """Clips of pieces that no other process has, one piece taken after the other as they are asked for.

        Args:
            lacking: which of some clips are still to be computed; asked once their piece is held.
        """
        for piece in self._all:
            if piece.take(wait=False):
                yield from self._begun(piece, lacking)
            else:
                self._busy.append(piece)

    def others(self, lacking: Callable[[Sequence[str]], Sequence[str]]) -> Iterator[list[str]]:
        """What is left of each piece that another process had: waits until it is done with it, or dead."""
        for piece in self._busy:
            piece.take(wait=True)
            yield list(self._begun(piece, lacking))

    @property
    def some_are_busy(self) -> bool:
        """Whether other processes have pieces, once `free` has ended."""
        return bool(self._busy)

    def end(self, digests: Collection[str]) -> None:
        """These clips are written, or cannot be."""
        for piece in self._held:
            piece.end(digests)

    def release(self) -> None:
        """Let others have everything."""
        for piece in self._held:
            piece.release()

    def _begun(self, piece: WorkChunk, lacking: Callable[[Sequence[str]], Sequence[str]]) -> Iterator[str]:
        self._held.append(piece)
        missing = lacking(piece.digests)
        piece.begin(missing)
        yield from missing
