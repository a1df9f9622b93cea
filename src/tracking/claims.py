"""Which of several machines computes an identity, agreed on through a server that they share."""

import logging

from src.tracking.liveness import Liveness
from src.tracking.owner import Owner
from src.tracking.store import RunRecord, Store

log = logging.getLogger(__name__)


class Claims:
    """A claim is a RUNNING run of the identity, first `asking`, then `held`.

    Whoever asks gives way to every claim held and to every other asker of a lower run number; whoever has just come to
    hold gives way to every claim of a lower number. Of two processes that both went through, X the lower: Y saw no
    claim of X after it held, so X asked later than that, saw Y holding, and gave way. No clock takes part; the server's
    database only has to show what was written before.
    """

    def __init__(self, store: Store, watch: Liveness) -> None:
        """Claims in one experiment of a server; `watch` tells the dead ones."""
        self._store, self._watch = store, watch

    def take(self, identity: str) -> str | None:
        """Try once: the claim's run, or None where another process has it or asked at the same time."""
        if self._others(identity):
            return None
        owner = Owner.here()
        tags = {"identity": identity, "claim": "asking", **owner.tags()}
        name = f"{identity[:8]} claimed by {owner}"
        mine = str(self._store.client.create_run(self._store.experiment_id, run_name=name, tags=tags).info.run_id)
        try:
            if self._asked(identity, mine) and self._is_first(identity, mine):
                return mine
        except BaseException:
            self.withdraw(mine)
            raise
        self.withdraw(mine)
        return None

    def withdraw(self, mine: str) -> None:
        """Leave it to others, without a trace."""
        self._store.client.delete_run(mine)

    def _asked(self, identity: str, mine: str) -> bool:
        others = self._others(identity, mine)
        if any(other.tags.get("claim") != "asking" or other.run_id < mine for other in others):
            return False
        self._store.client.set_tag(mine, "claim", "held")
        return True

    def _is_first(self, identity: str, mine: str) -> bool:
        return not any(other.run_id < mine for other in self._others(identity, mine))

    def _others(self, identity: str, mine: str = "") -> list[RunRecord]:
        """Claims of living processes; those of dead ones are marked KILLED."""
        running = self._store.runs(f"tags.identity = '{identity}' AND attributes.status = 'RUNNING'")
        return [run for run in running if run.run_id != mine and not self._is_buried(run)]

    def _is_buried(self, run: RunRecord) -> bool:
        reason = self._watch.dead(run)
        if reason is not None:
            self._store.end(run.run_id, "KILLED", reason)
        return reason is not None
