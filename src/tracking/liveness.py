"""Whether the process behind a RUNNING run still lives."""

import time
from collections.abc import Callable

from src.tracking.heartbeat import PATIENCE
from src.tracking.owner import Owner
from src.tracking.store import RunRecord


class Liveness:
    """Looks at RUNNING runs again and again, and says which ones nobody computes any more.

    A process of this machine is looked up; one of another machine is alive while its heartbeat's count changes. Time is
    measured between two looks on this process's monotonic clock: no clock of another machine is read, and setting
    this one's changes nothing.
    """

    def __init__(self, patience: float = PATIENCE, clock: Callable[[], float] = time.monotonic) -> None:
        """`patience`: seconds without a beat after which a process elsewhere counts as dead."""
        self._patience, self._clock = patience, clock
        self._seen: dict[str, tuple[str, float]] = {}

    def dead(self, run: RunRecord) -> str | None:
        """Why nobody computes this run any more; None: somebody does, or may."""
        owner = Owner.of(run.tags)
        if owner is not None and owner.is_near:
            return None if owner.lives else f"{owner} is gone"
        beat, now = run.tags.get("beat", ""), self._clock()
        last, since = self._seen.get(run.run_id, (None, now))
        if last != beat:
            self._seen[run.run_id] = (beat, now)
            return None
        who = owner or "a process that left no name"
        return f"no sign of life from {who} for {self._patience:.0f} s" if now - since > self._patience else None
