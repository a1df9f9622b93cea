"""A sign of life that other machines can see."""

import logging
import threading
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

EVERY = 20.0
"""Seconds between two beats."""
PATIENCE = 5 * EVERY
"""Seconds without a beat after which a process on another machine counts as dead."""


class Heartbeat:
    """Counts in a run's tag `beat` while the block lasts and its process lives.

    A count, no time: whoever watches it needs no clock that agrees with this one.
    """

    def __init__(self, client: "MlflowClient", run_id: str, *, every: float = EVERY) -> None:
        self._client, self._run_id, self._every = client, run_id, every
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeat of {run_id}", daemon=True)

    def __enter__(self) -> "Heartbeat":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._over.set()
        # a beat in progress to a server that hangs must not hold up the job
        self._thread.join(timeout=1)

    def _beat(self) -> None:
        count = 0
        while not self._over.wait(self._every):
            count += 1
            try:
                self._client.set_tag(self._run_id, "beat", str(count))
            except Exception as error:  # a beat that is missed is no reason to fail
                log.debug("no sign of life of run %s: %s", self._run_id, error)
