"""A tracking server that finished runs are delivered to, and that may be away at any time."""

import hashlib
import logging
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from src.errors import UserError
from src.redaction import redact
from src.tracking.claims import Claims
from src.tracking.copying import Copy, artifacts
from src.tracking.database import probe
from src.tracking.heartbeat import Heartbeat
from src.tracking.liveness import Liveness
from src.tracking.run_index import RunIndex, look_up
from src.tracking.store import RunRecord, Store, TrackingSettings

log = logging.getLogger(__name__)

_PAUSE = 2.0


class ServerAway(Exception):
    """The server cannot be used just now."""


@dataclass
class Claim:
    """An identity on the server.

    Attributes:
        known: its finished run there. run_id: of the run that holds it for this process; None: the server is away, or
            the claim has become the delivered run.
    """

    known: RunRecord | None = None
    run_id: str | None = None


class Server:
    """Never fails a job: what cannot be delivered stays in the embedded store until `sync`."""

    def __init__(self, settings: TrackingSettings, folder: Path, patience: float) -> None:
        """Nothing is asked of it yet.

        Args:
            folder: of the embedded store. patience: seconds without a sign of life after which a process on another
                machine counts as dead.
        """
        self._settings, self._folder = settings, folder
        self._watch = Liveness(patience)
        # known by its address without the password, which may change and must not be guessed from a digest
        self.shown = redact(str(settings.uri))
        self._book = RunIndex(folder, self.shown, settings.experiment)
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
                return look_up(store, self._book, identity)[1]
        except ServerAway as error:
            log.warning("%s; what it knows is not asked for", error)
            return None

    @contextmanager
    def claim(self, identity: str, *, force: bool) -> Iterator[Claim]:
        """This identity, alone among all processes that use the server, as far as that can be reached.

        Waits for another process that has it. A block that raises leaves a FAILED or KILLED run there.

        Args:
            force: nothing that finished before counts.
        """
        claim = self._taken(identity, force)
        if claim.run_id is None:
            yield claim
            return
        store = self.store()
        with Heartbeat(store.client, claim.run_id):
            try:
                yield claim
            except BaseException as error:
                status = "FAILED" if isinstance(error, Exception) else "KILLED"
                self._close(claim, status, f"{type(error).__name__}: {error}")
                raise
        self._close(claim, None, "")

    def lacks(self, run: RunRecord) -> bool:
        """Whether a finished run of the embedded store still has to be delivered."""
        return self._mark not in run.tags and run.status == "FINISHED" and "identity" in run.tags

    def deliver(self, local: Store, run_id: str, claim: Claim | None = None) -> bool:
        """Bring a finished run there, once however often it is tried; returns whether it is there, whole.

        Args:
            local: store that holds the run. claim: what holds its identity there.
        """
        try:
            self._deliver(local, run_id, claim or Claim())
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
                self._deliver(local, run.run_id, Claim())
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

    def _deliver(self, local: Store, run_id: str, claim: Claim) -> None:
        """Bring a run there and see that it is there whole.

        Raises:
            ServerAway: the server cannot be used. UserError: artifacts of the run are lost, here or there.
        """
        run = local.get(run_id)
        if run is None:
            return
        copy = Copy.of(local, run_id)
        with artifacts(local, run) as folder, self._reached() as store:
            there, wrong = self._bring(store, folder, run, copy, claim)
        if wrong:
            raise UserError(
                f"run {run_id}: its counterpart {there} in {self.shown} is not whole ({'; '.join(wrong)}). Delete that "
                "run there, then deliver again"
            )
        local.client.set_tag(run_id, self._mark, there)

    @contextmanager
    def _reached(self) -> Iterator[Store]:
        """The server's store; whatever goes wrong with it says that it is away."""
        from mlflow.exceptions import MlflowException
        from requests import RequestException

        try:
            probe(str(self._settings.uri))
            yield self.store()
        except (UserError, MlflowException, RequestException) as error:
            told = redact((str(error).strip() or type(error).__name__).splitlines()[0])
            raise ServerAway(f"the tracking server cannot be used ({told})") from error

    def _taken(self, identity: str, force: bool) -> Claim:
        told = False
        try:
            while True:
                with self._reached() as store:
                    mine = Claims(store, self._watch).take(identity)
                    # asked for after the claim, so that nobody can finish in between
                    known = None if force else look_up(store, self._book, identity)[1]
                    if mine is not None and known is not None:
                        store.client.delete_run(mine)
                    if known is not None or mine is not None:
                        return Claim(known, None if known is not None else mine)
                if not told:
                    log.info("another process computes this job; waiting for it")
                    told = True
                time.sleep(_PAUSE * (0.5 + random.random()))
        except ServerAway as error:
            log.warning("%s; this job is run without asking whether another machine does", error)
            return Claim()

    def _bring(self, store: Store, folder: Path, run: RunRecord, copy: Copy, claim: Claim) -> tuple[str, list[str]]:
        """The run there, and what is wrong with its artifacts."""
        claims, identity = Claims(store, self._watch), copy.tags["identity"]
        mine = claim.run_id if claim.run_id and _is_running(store, claim.run_id) else claims.take(identity)
        if mine is None:
            raise ServerAway("another process computes the same job just now")
        there, wrong = self._counterpart(store, run), []
        if there is None:
            replace(copy, tags={**copy.tags, "source_run": run.run_id}).fill(store, mine, folder)
            if not _is_running(store, mine):
                raise ServerAway("another process took this job for dead")
            copy.finish(store, mine)
            found = mine
        else:
            claims.withdraw(mine)
            found, wrong = there.run_id, store.missing(there)
        claim.run_id = None
        return found, wrong

    def _counterpart(self, store: Store, run: RunRecord) -> RunRecord | None:
        """The finished run there that this one would double: its own copy, or another machine's of the same job."""
        found = store.runs(f"tags.identity = '{run.tags['identity']}' AND attributes.status = 'FINISHED'")
        copies = [other for other in found if other.tags.get("source_run") == run.run_id]
        others = [] if run.tags.get("forced") == "true" else found
        return next(iter(copies + others), None)

    def _close(self, claim: Claim, status: str | None, reason: str) -> None:
        """End a claim that became no delivered run; without a status it leaves no trace."""
        if claim.run_id is None:
            return
        try:
            with self._reached() as store:
                if status is None:
                    store.client.delete_run(claim.run_id)
                else:
                    store.end(claim.run_id, status, reason)
        except ServerAway as error:
            log.warning("%s; its run %s is left for the next process to clear", error, claim.run_id)


def _is_running(store: Store, run_id: str) -> bool:
    run = store.get(run_id)
    return run is not None and run.status == "RUNNING" and not run.deleted
