"""A tracking server that finished runs are delivered to, and that may be away at any time."""

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from src.errors import UserError, redact
from src.tracking.copying import Copy, artifacts
from src.tracking.database import probe
from src.tracking.run_index import RunIndex, look_up
from src.tracking.store import RunRecord, Store, TrackingSettings

log = logging.getLogger(__name__)


class ServerAway(Exception):
    """The server cannot be used just now."""


class Server:
    """Never fails a job: what cannot be delivered stays in the embedded store until `sync`.

    Machines that share no disk do not wait for each other: two that run the same job at the same time both compute it.
    The run that is delivered first is the one that counts.
    """

    def __init__(self, settings: TrackingSettings, folder: Path) -> None:
        """Nothing is asked of it yet.

        Args:
            folder: of the embedded store.
        """
        self._settings, self._folder = settings, folder
        # known by its address without the password, which may change and must not be guessed from a digest
        self.shown = redact(str(settings.uri))
        self._index = RunIndex(folder, self.shown, settings.experiment)
        self._mark = f"delivered.{hashlib.sha256(self.shown.encode()).hexdigest()[:8]}"

    def store(self) -> Store:
        """Its experiment.

        Raises:
            UserError: it cannot be reached.
        """
        return Store(self._settings, self._folder)

    def finished(self, identity: str) -> RunRecord | None:
        """The newest finished run of this identity there; None also where the server is away, which is logged."""
        try:
            with self._reached() as store:
                return look_up(store, self._index, identity)[1]
        except ServerAway as error:
            log.warning("%s; what it knows is not asked for", error)
            return None

    def lacks(self, run: RunRecord) -> bool:
        """Whether a finished run of the embedded store still has to be delivered."""
        return self._mark not in run.tags and run.status == "FINISHED" and "identity" in run.tags

    def deliver(self, local: Store, run_id: str) -> bool:
        """Bring a finished run there, once however often it is tried; returns whether it is there, whole.

        Args:
            local: store that holds the run.
        """
        try:
            self._deliver(local, run_id)
        except ServerAway as error:
            self._warn(error)
            return False
        except UserError as error:
            log.warning("not delivered to %s: %s", self.shown, error)
            return False
        return True

    def sync(self, local: Store) -> tuple[int, int]:
        """Deliver every finished run that is not there yet; how many were, and how many are left.

        A run whose artifacts are lost is named and left; the others are delivered.
        """
        waiting = [run for run in local.runs("attributes.status = 'FINISHED'") if self.lacks(run)]
        delivered = 0
        for run in reversed(waiting):
            try:
                self._deliver(local, run.run_id)
                delivered += 1
            except ServerAway as error:
                self._warn(error)
                break
            except UserError as error:
                log.error("not delivered: %s", error)
        return delivered, len(waiting) - delivered

    def _warn(self, error: ServerAway) -> None:
        log.warning(
            "%s; runs stay here until it is back, then: python -m src.sweep action=sync tracking.uri=%s",
            error, self.shown,
        )  # fmt: skip

    def _deliver(self, local: Store, run_id: str) -> None:
        """Bring a run there and see that it is there whole.

        Raises:
            ServerAway: the server cannot be used. UserError: artifacts of the run are lost, here or there.
        """
        run = local.get(run_id)
        if run is None:
            return
        copy = Copy.of(local, run_id)
        copy = replace(copy, tags={**copy.tags, "source_run": run_id})
        with artifacts(local, run) as folder, self._reached() as store:
            there = _counterpart(store, run)
            if there is None:
                delivered, wrong = copy.begin(store), []
                copy.fill(store, delivered, folder)
                copy.finish(store, delivered)
            else:
                delivered, wrong = there.run_id, store.missing(there)
        if wrong:
            raise UserError(
                f"run {run_id}: its counterpart {delivered} in {self.shown} is not whole ({'; '.join(wrong)}). Delete "
                "that run there, then deliver again"
            )
        local.client.set_tag(run_id, self._mark, delivered)

    @contextmanager
    def _reached(self) -> Iterator[Store]:
        """The server's store; whatever goes wrong with it says that it is away."""
        from mlflow.exceptions import MlflowException
        from requests import RequestException

        try:
            probe(str(self._settings.uri))
            yield self.store()
        except (UserError, MlflowException, RequestException) as error:
            reason = redact((str(error).strip() or type(error).__name__).splitlines()[0])
            raise ServerAway(f"the tracking server cannot be used ({reason})") from error


def _counterpart(store: Store, run: RunRecord) -> RunRecord | None:
    """The finished run there that this one would double: its own copy, or another machine's of the same job.

    What an earlier attempt to deliver this run left unfinished is deleted.
    """
    there = store.runs(f"tags.identity = '{run.tags['identity']}'")
    for other in there:
        if other.tags.get("source_run") == run.run_id and other.status == "RUNNING":
            store.client.delete_run(other.run_id)
    finished = [other for other in there if other.status == "FINISHED"]
    copies = [other for other in finished if other.tags.get("source_run") == run.run_id]
    others = [] if run.tags.get("forced") == "true" else finished
    return next(iter(copies + others), None)
