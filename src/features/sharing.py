"""One extraction by many processes, on one machine or several that share the cache: each takes chunks of clips."""

import logging
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from filelock import FileLock

log = logging.getLogger(__name__)

CHUNKS = 100
"""Chunks of a dataset, at most: small ones let processes that share it end together; each is a lock that stays open."""
_SMALLEST = 4

Missing = Callable[[Sequence[str]], Iterable[str]]


class WorkChunks:
    """The clips of a dataset in chunks, the same for every process that has the same clips.

    A process holds the lock of a chunk until it has written its features, so that a dead one's chunk is free at once.
    """

    def __init__(self, folder: Path, digests: Collection[str]) -> None:
        """Divide clips whose features are kept in `folder`."""
        self._folder = folder
        self._count = min(CHUNKS, -(-len(digests) // _SMALLEST))
        chunks: dict[int, list[str]] = {}
        for digest in sorted(digests):
            chunks.setdefault(int(digest[:8], 16) % self._count, []).append(digest)
        self._chunks, self._busy = sorted(chunks.items()), list[tuple[int, list[str]]]()
        self._held: list[FileLock] = []

    def free(self, missing: Missing) -> Iterator[str]:
        """Clips of chunks that no other process has, one chunk taken after the other as they are asked for.

        Args:
            missing: which of some clips are still to be computed; called once their chunk is held.
        """
        for number, digests in self._chunks:
            if self._take(number, wait=False):
                yield from missing(digests)
            else:
                self._busy.append((number, digests))

    def others(self, missing: Missing) -> Iterator[list[str]]:
        """What another process left of each chunk that it had: waits until it is done, or dead.

        Call `release` first, so that two processes do not wait for each other.
        """
        for number, digests in self._busy:
            self._take(number, wait=True)
            yield list(missing(digests))
            self.release()

    @property
    def some_are_busy(self) -> bool:
        """Whether other processes have chunks, once `free` has ended."""
        return bool(self._busy)

    def release(self) -> None:
        """Let others have the chunks that are held."""
        for lock in self._held:
            # a file that another process just opened is then locked in vain: it computes what is there, no worse
            with suppress(OSError):
                Path(lock.lock_file).unlink()
            lock.release()
        self._held.clear()

    def _take(self, number: int, *, wait: bool) -> bool:
        """Hold a chunk; False: another process does. In a folder that cannot be written every chunk is free."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            lock = FileLock(self._folder / f".chunk-{number}-of-{self._count}.lock")
            lock.acquire(timeout=-1 if wait else 0)
        except TimeoutError:
            return False
        except OSError as error:
            message = "%s: cannot be written (%s); features are computed but not kept"
            log.warning(message, self._folder, error.strerror)
            return True
        self._held.append(lock)
        return True
