"""The runs that differ from one in nothing but the seed."""

from collections.abc import Sequence

from src.tracking.store import RunRecord


def siblings(run: RunRecord, runs: Sequence[RunRecord]) -> list[RunRecord]:
    """The run itself and the newest finished one of every other seed, by seed; a head without randomness has one run.

    Args:
        runs: of the store, newest first.
    """
    cell = run.tags.get("cell")
    same = [other for other in runs if other.status == "FINISHED" and cell and other.tags.get("cell") == cell]
    by_identity = {run.tags.get("identity"): run}
    for other in same:
        by_identity.setdefault(other.tags["identity"], other)
    return sorted(by_identity.values(), key=lambda one: int(one.tags["seed"]))
