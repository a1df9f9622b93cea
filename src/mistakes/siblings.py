"""The runs that differ from one in nothing but the seed."""

from collections.abc import Sequence

from src.report.naming import CELL, cell_of
from src.report.wanted import described
from src.tracking import RunRecord

_TAGS = ("data_digest", "result_version")


def siblings(run: RunRecord, runs: Sequence[RunRecord]) -> list[RunRecord]:
    """The run itself and the newest finished one of every other seed, by seed.

    Args:
        runs: of the store, newest first.
    """
    same = [other for other in runs if other.status == "FINISHED" and _alike(run, other)]
    by_seed = {int(run.tags["seed"]): run}
    for other in same:
        by_seed.setdefault(int(other.tags["seed"]), other)
    return [by_seed[seed] for seed in sorted(by_seed)]


def _is_complete(run: RunRecord) -> bool:
    """Whether it is a training job's, and not an audit's or somebody else's in the same experiment."""
    return "seed" in run.tags and "backbone._target_" in run.params and set(CELL) - {"transfer"} <= run.tags.keys()


def _alike(run: RunRecord, other: RunRecord) -> bool:
    return (
        _is_complete(other)
        and cell_of(run.tags) == cell_of(other.tags)
        and all(run.tags.get(tag) == other.tags.get(tag) for tag in _TAGS)
        and run.params.get("backbone.engine") == other.params.get("backbone.engine")
        and described(run.params, run.tags) == described(other.params, other.tags)
    )
