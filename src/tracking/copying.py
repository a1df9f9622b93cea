"""A run as plain values: read from one store, written to another, the same however often."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from src.errors import UserError
from src.tracking.database import explained, local_path
from src.tracking.owner import Owner
from src.tracking.store import RunRecord, Store, differences, files_in

T = TypeVar("T")

_AT_ONCE = 100  # MLflow's limit on params and on tags in one call; on metrics it is 1000
# Tags that belong to the store that it was read from (its user, its source file), or to who computed it.
_STAYS = ("mlflow.", "host", "boot", "pid", "pid_started", "delivered.")


@dataclass(frozen=True)
class Copy:
    """Everything that a run holds but its artifacts.

    Attributes:
        started, ended: milliseconds since 1970.
        metrics: every point of every curve: name, value, milliseconds since 1970, step. The value is the shortest text
            that reads back as the same float64, so that JSON can hold nan and inf.
    """

    name: str
    started: int
    ended: int
    tags: dict[str, str]
    params: dict[str, str]
    metrics: list[tuple[str, str, int, int]]

    @classmethod
    def of(cls, store: Store, run_id: str) -> "Copy":
        """Read a run."""
        run = store.client.get_run(run_id)
        points = [point for name in run.data.metrics for point in store.client.get_metric_history(run_id, name)]
        return cls(
            name=run.info.run_name or "",
            started=run.info.start_time,
            ended=run.info.end_time or run.info.start_time,
            tags={key: value for key, value in run.data.tags.items() if not key.startswith(_STAYS)},
            params=dict(run.data.params),
            metrics=[(p.key, repr(float(p.value)), p.timestamp, p.step) for p in points],
        )

    @classmethod
    def from_json(cls, content: Any) -> "Copy":
        """The inverse of `as_json`.

        Raises:
            pydantic.ValidationError: it is none.
        """
        from pydantic import TypeAdapter

        found: Copy = TypeAdapter(cls).validate_python(content)
        return found.without_owner()

    def without_owner(self) -> "Copy":
        """Without tags that say whose it was."""
        return replace(self, tags={key: value for key, value in self.tags.items() if not key.startswith(_STAYS)})

    def as_json(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    def begin(self, store: Store) -> str:
        """A RUNNING run with this name and these tags, of this process; its id."""
        tags = {**self.tags, **Owner.here().tags()}
        run = store.client.create_run(store.experiment_id, start_time=self.started, run_name=self.name, tags=tags)
        return str(run.info.run_id)

    def fill(self, store: Store, run_id: str, artifacts: Path) -> None:
        """Write everything into a RUNNING run; what is there, from an attempt that was cut off, stays as it is.

        Args:
            artifacts: folder of the files to store.

        Raises:
            UserError: the store does not take it, or does not hold it whole afterwards.
        """
        from mlflow.entities import Metric, Param, RunTag

        client = store.client
        store.put(run_id, artifacts)
        with store.artifacts(run_id) as there:
            if wrong := differences(files_in(artifacts), files_in(there)):
                raise UserError(f"run {self.name!r}: {store.shown} did not keep its artifacts ({'; '.join(wrong)})")
        for params in _chunks([Param(key, value) for key, value in self.params.items()]):
            client.log_batch(run_id, params=params)
        for metrics in _chunks([Metric(key, float(value), time, step) for key, value, time, step in self.metrics]):
            client.log_batch(run_id, metrics=metrics)
        for tags in _chunks([RunTag(key, value) for key, value in self.tags.items()]):
            client.log_batch(run_id, tags=tags)
        client.update_run(run_id, name=self.name)

    def finish(self, store: Store, run_id: str) -> None:
        """Make a filled run a result; before this, nobody takes it for one."""
        store.client.set_terminated(run_id, status="FINISHED", end_time=self.ended)


@contextmanager
def artifacts(store: Store, run: RunRecord) -> Iterator[Path]:
    """A folder that holds the run's artifacts, each as the run recorded it.

    Raises:
        UserError: one is missing or is not what was recorded.
    """
    with store.artifacts(run.run_id) as folder:
        with explained(store.uri, OSError):
            wrong = differences(run.files, files_in(folder))
        if wrong:
            raise UserError(
                f"run {run.run_id}: its artifacts in {store.shown} are not whole ({'; '.join(wrong)}). Bring them back "
                "from a copy of the store, or run it again with force=true"
            )
        yield folder


def local_folder(run: RunRecord) -> Path | None:
    """Where the run's artifacts lie on this disk; None: a server has them."""
    return local_path(run.artifacts)


def _chunks(items: Sequence[T]) -> Iterator[Sequence[T]]:
    for start in range(0, len(items), _AT_ONCE):
        yield items[start : start + _AT_ONCE]
