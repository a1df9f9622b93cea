"""What finished, by identity: one small file each, so that a look-up costs the same among ten runs and ten thousand."""

import hashlib
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from filelock import FileLock

from src.data.writing import write_atomically
from src.tracking.copying import Copy, local_folder
from src.tracking.store import RunRecord, Store

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Entry:
    """What the index says of an identity; the store has the last word.

    Attributes:
        run_id: of the newest finished run. artifacts: its folder of files. content: all else that it holds, as JSON
            (None: the run is on a server). lost: whether the store knows nothing of the run; one that a person deleted
            is not lost.
    """

    run_id: str
    artifacts: Path | None
    content: Any
    lost: bool = False


class RunIndex:
    """A folder beside an embedded database. Losing it, or any part of it, costs time and nothing else."""

    def __init__(self, home: Path, uri: str, experiment: str) -> None:
        """The index of one experiment in one store; `home` is the folder of all of them."""
        # by the database's name, not its path: machines that share the disk may see it elsewhere
        name = hashlib.sha256(f"{uri.rpartition('/')[2]} {experiment}".encode()).hexdigest()[:12]
        self._home = home.resolve()
        self._folder = self._home / "ledger" / name

    def read(self, identity: str) -> Entry | None:
        """The entry of an identity; None where there is none that can be read."""
        try:
            content = json.loads((self._folder / f"{identity}.json").read_bytes())
            place = content.get("artifacts")
            return Entry(str(content["run"]), None if place is None else self._home / place, content.get("copy"))
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s: the entry of %s cannot be read (%s); the store is asked", self._folder, identity, error)
            return None

    def write(self, identity: str, run: RunRecord, copy: Copy | None) -> None:
        """Enter a finished run. A place that cannot be written is no error: the store knows the run as well."""
        content: dict[str, Any] = {"run": run.run_id}
        place = local_folder(run)
        if copy is not None and place is not None:
            content |= {"artifacts": os.path.relpath(place, self._home), "copy": copy.as_json()}
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            write_atomically(self._folder / f"{identity}.json", json.dumps(content, ensure_ascii=False).encode())
        except OSError as error:
            log.debug("%s: cannot be written (%s)", self._folder, error)

    @contextmanager
    def held(self, identity: str, waiting: str) -> Iterator[None]:
        """Alone with this identity among all processes that use the folder; the system frees what a dead one held.

        Args:
            waiting: logged once where another process is at it.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._folder / f"{identity}.lock")
        try:
            lock.acquire(timeout=0)
        except TimeoutError:
            log.info("%s", waiting)
            lock.acquire()
        try:
            yield
        finally:
            lock.release()


def look_up(store: Store, index: RunIndex, identity: str) -> tuple[Entry | None, RunRecord | None]:
    """What the index says of an identity, and its newest finished run in the store.

    The store is asked for the one run that the index names. Only where there is none is it searched, which takes the
    longer the more runs it holds; what that finds is entered.
    """
    entry = index.read(identity)
    named = None if entry is None else store.get(entry.run_id)
    if named is not None and is_result(named, identity):
        return entry, named
    found = store.finished(identity)
    if found is not None:
        here = local_folder(found) is not None
        index.write(identity, found, Copy.of(store, found.run_id) if here else None)
    return entry and replace(entry, lost=named is None), found


def is_result(run: RunRecord, identity: str) -> bool:
    """Whether the run is a finished one of this identity that nobody deleted."""
    return run.status == "FINISHED" and not run.deleted and run.tags.get("identity") == identity
