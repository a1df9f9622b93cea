"""Every job once: what finished is found, what another process computes is waited for, what died is run again."""

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from src.errors import UserError
from src.tracking.copying import Copy, local_folder
from src.tracking.owner import Owner
from src.tracking.run_index import Entry, RunIndex, look_up
from src.tracking.server import Server
from src.tracking.store import Run, RunRecord, Store, TrackingSettings, differences, files_in, recorded_files

log = logging.getLogger(__name__)

_PAUSE = 2.0


def open_store(settings: TrackingSettings, folder: Path) -> Store:
    """Where this machine writes its runs: the embedded store, also where they go on to a server from there."""
    if settings.uri is None or settings.uri.startswith("sqlite:///"):
        return Store(settings, folder)
    store = Store(replace(settings, uri=None), folder)
    store.remote = settings
    return store


@dataclass(frozen=True)
class Job:
    """One identity, held by this process.

    Attributes:
        known: its finished run, where there is one.
    """

    ledger: "Ledger"
    identity: str
    forced: bool
    known: RunRecord | None

    @contextmanager
    def run(self, name: str, tags: Mapping[str, str]) -> Iterator[Run]:
        """A run of this identity, as `Store.run`; once it is FINISHED it is entered, and delivered to the server."""
        store = self.ledger.store
        forced = {"forced": "true"} if self.forced else {}
        owned = {**tags, **forced, **Owner.here().tags(), "identity": self.identity}
        with store.run(name, owned) as run:
            yield run
        self.ledger.enter(self.identity, run.run_id)
        if self.ledger.server is not None:
            self.ledger.server.deliver(store, run.run_id)


class Ledger:
    """The runs of one experiment by identity."""

    def __init__(self, store: Store) -> None:
        """The ledger of an embedded store, and of the server that it delivers to (`store.remote`)."""
        self.store = store
        self.index = RunIndex(store.home, store.shown, store.experiment)
        self.server = None if store.remote is None else Server(store.remote, store.home)

    def finished(self, identity: str) -> RunRecord | None:
        """The newest finished run of this identity: here, or else on the server where that answers."""
        found = look_up(self.store, self.index, identity)[1]
        return found if found is not None or self.server is None else self.server.finished(identity)

    def holder(self, run: RunRecord) -> Store:
        """The store that a run was found in."""
        here = self.server is None or self.store.get(run.run_id) is not None
        return self.store if here or self.server is None else self.server.store()

    @contextmanager
    def job(self, identity: str, *, force: bool) -> Iterator[Job]:
        """This identity, alone among all processes that share the store.

        Where another process computes it, this waits. The job that comes out is known, or this process's to run.

        Args:
            force: nothing that finished before counts.
        """
        known = None if force else self.finished(identity)
        if known is not None:
            if lost := self.store.missing(known, read=False) if self.store.holds(known) else []:
                log.warning(
                    "run %s is known, but its artifacts in %s are not whole (%s): bring them back from a copy of the "
                    "store, or run it again with force=true", known.run_id, local_folder(known), "; ".join(lost),
                )  # fmt: skip
            self._hand_over(known)
            yield Job(self, identity, force, known)
            return
        with self.index.held(identity, "another process computes this job; waiting for it"):
            self._settle(identity)
            yield Job(self, identity, force, None if force else self._found_or_restored(identity))

    def enter(self, identity: str, run_id: str) -> RunRecord | None:
        """Write a finished run into the book; a store that is busy just now is asked when the run is looked up."""
        from mlflow.exceptions import MlflowException

        try:
            run = self.store.get(run_id)
            if run is not None:
                self.index.write(identity, run, Copy.of(self.store, run_id))
        except (UserError, MlflowException) as error:
            log.warning("run %s is not in the ledger yet (%s)", run_id, error)
            return None
        return run

    def write(self, identity: str, copy: Copy, artifacts: Path) -> RunRecord | None:
        """Add a finished run that was made elsewhere; hold its identity meanwhile.

        Raises:
            UserError: the store does not take it.
        """
        from mlflow.exceptions import MlflowException

        run_id = copy.begin(self.store)
        try:
            copy.fill(self.store, run_id, artifacts)
            copy.finish(self.store, run_id)
        except BaseException as error:
            self.store.end(run_id, "FAILED", f"could not be copied: {error}")
            if isinstance(error, MlflowException):
                raise UserError(f"run {copy.name!r} cannot be written ({str(error).splitlines()[0]})") from error
            raise
        return self.enter(identity, run_id)

    def _settle(self, identity: str) -> None:
        """Mark runs of dead processes KILLED; wait for those of this machine that live.

        Whoever is here holds the identity's lock, so that a run of another machine is one that nobody computes, or one
        whose machine does not share the lock: that one may finish all the same, and then counts.
        """
        waiting = False
        while True:
            running = self.store.runs(f"tags.identity = '{identity}' AND attributes.status = 'RUNNING'")
            living = [run for run in running if not self._mark_dead(run)]
            if not living:
                return
            if not waiting:
                log.info("run %s: %s computes this job; waiting for it", living[0].run_id, Owner.of(living[0].tags))
                waiting = True
            time.sleep(_PAUSE)

    def _mark_dead(self, run: RunRecord) -> bool:
        """Whether nobody on this machine computes a RUNNING run, which is then marked KILLED."""
        owner = Owner.of(run.tags)
        if owner is not None and owner.is_near and owner.lives:
            return False
        self.store.end(run.run_id, "KILLED", f"{owner or 'a process that left no name'} is gone")
        return True

    def _found_or_restored(self, identity: str) -> RunRecord | None:
        entry, found = look_up(self.store, self.index, identity)
        return self._restored(identity, entry) if found is None and entry is not None else found

    def _restored(self, identity: str, entry: Entry) -> RunRecord | None:
        """A run that the database has lost, from the book and the artifacts beside it."""
        if not entry.lost or entry.content is None or entry.artifacts is None or not entry.artifacts.is_dir():
            return None
        copy = Copy.from_json(entry.content)
        if lost := differences(recorded_files(copy.tags), files_in(entry.artifacts)):
            log.warning("run %s cannot be restored from the ledger (%s)", entry.run_id, "; ".join(lost))
            return None
        copy = replace(copy, tags={**copy.tags, "restored": entry.run_id})
        log.warning("run %s was not in %s; restored from the ledger beside it", entry.run_id, self.store.shown)
        return self.write(identity, copy, entry.artifacts)

    def _hand_over(self, known: RunRecord) -> None:
        """Deliver a run that finished before this server was used, or while it was away."""
        if self.server is not None and self.server.lacks(known) and self.store.get(known.run_id) is not None:
            self.server.deliver(self.store, known.run_id)
