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
from src.ledger.book import Book, look_up
from src.ledger.claims import Claims
from src.ledger.copying import Copy, artifacts
from src.ledger.heartbeat import Heartbeat
from src.ledger.watch import Watch
from src.tracking import RunRecord, Store, TrackingSettings

log = logging.getLogger(__name__)

_PAUSE = 2.0
_PROBE = 5.0


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
        self._watch = Watch(patience)
        self._book = Book(folder, str(settings.uri), settings.experiment)
        self._mark = f"delivered.{hashlib.sha256(str(settings.uri).encode()).hexdigest()[:8]}"

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
        """Bring a finished run there, once however often it is tried; returns whether it is there.

        Args:
            local: store that holds the run. claim: what holds its identity there.
        """
        run = local.get(run_id)
        if run is None:
            return True
        copy = Copy.of(local, run_id)
        try:
            with self._reached() as store:
                there = self._bring(store, local, run, copy, claim or Claim())
            local.client.set_tag(run_id, self._mark, there)
        except ServerAway as error:
            log.warning(
                "%s; runs stay here until it is back, then: python -m src.sweep action=sync tracking.uri=%s",
                error, self._settings.uri,
            )  # fmt: skip
            return False
        return True

    def sync(self, local: Store) -> tuple[int, int]:
        """Deliver every finished run that is not there yet; how many were, and how many are left."""
        waiting = [run for run in local.runs("attributes.status = 'FINISHED'") if self.lacks(run)]
        delivered = 0
        for run in reversed(waiting):
            if not self.deliver(local, run.run_id):
                break
            delivered += 1
        return delivered, len(waiting) - delivered

    @contextmanager
    def _reached(self) -> Iterator[Store]:
        """The server's store; whatever goes wrong with it says that it is away."""
        from mlflow.exceptions import MlflowException
        from requests import RequestException

        try:
            _probe(str(self._settings.uri))
            yield self.store()
        except (UserError, MlflowException, RequestException) as error:
            told = (str(error).strip() or type(error).__name__).splitlines()[0]
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

    def _bring(self, store: Store, local: Store, run: RunRecord, copy: Copy, claim: Claim) -> str:
        claims, identity = Claims(store, self._watch), copy.tags["identity"]
        mine = claim.run_id if claim.run_id and _is_running(store, claim.run_id) else claims.take(identity)
        if mine is None:
            raise ServerAway("another process computes the same job just now")
        there = self._counterpart(store, run)
        if there is None:
            with artifacts(local, run) as folder:
                replace(copy, tags={**copy.tags, "source_run": run.run_id}).fill(store, mine, folder)
            if not _is_running(store, mine):
                raise ServerAway("another process took this job for dead")
            copy.finish(store, mine)
            there = mine
        else:
            claims.withdraw(mine)
        claim.run_id = None
        return there

    def _counterpart(self, store: Store, run: RunRecord) -> str | None:
        """The finished run there that this one would double: its own copy, or another machine's of the same job."""
        found = store.runs(f"tags.identity = '{run.tags['identity']}' AND attributes.status = 'FINISHED'")
        copies = [other.run_id for other in found if other.tags.get("source_run") == run.run_id]
        forced = run.tags.get("forced") == "true"
        others = [] if forced else [other.run_id for other in found]
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


def _probe(uri: str) -> None:
    """Ask whether anybody is there, so that a server that is away costs no minute of retries.

    Raises:
        requests.RequestException: nobody is.
    """
    import requests

    if uri.startswith("http"):
        answer = requests.get(f"{uri.rstrip('/')}/health", timeout=_PROBE)
        # a proxy in front of a server that is away
        if answer.status_code >= 500:
            answer.raise_for_status()
