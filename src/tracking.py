"""The only room that touches MLflow, besides src/ledger: one run per job, read back as plain records."""

import hashlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.database import explained, is_embedded, opened
from src.errors import UserError, printable

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"
os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
# MLflow's own would wait some four minutes for a server that is away.
os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "3")
os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "30")

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from pytorch_lightning.loggers import MLFlowLogger

log = logging.getLogger(__name__)

_LONGEST_PARAM = 250
_LONGEST_NAME = 250
_MILLISECONDS = 1000


@dataclass(frozen=True)
class TrackingSettings:
    """Where runs are kept.

    Attributes:
        uri: `sqlite:///FILE` (artifacts beside it) or a server's `http://...`; None: the embedded database.
        experiment: MLflow experiment that the runs belong to.
    """

    uri: str | None
    experiment: str

    def __post_init__(self) -> None:
        if not (self.uri or "http://").startswith(("sqlite:///", "http://", "https://", "postgresql")):
            raise UserError(
                f"tracking.uri: got {self.uri!r}; expected sqlite:///FILE, or http(s)://HOST:PORT of an MLflow server"
            )


@dataclass(frozen=True)
class RunRecord:
    """One run as read back from MLflow.

    Attributes:
        status: `FINISHED`, `FAILED`, `RUNNING` or `KILLED`. started, ended: seconds since 1970 (ended 0: not yet).
        deleted: whether a person deleted it in MLflow.
    """

    run_id: str
    name: str
    status: str
    started: float
    ended: float
    tags: dict[str, str]
    params: dict[str, str]
    metrics: dict[str, float]
    artifacts: str
    deleted: bool = False


@dataclass
class Run:
    """A run being written; every call goes to MLflow at once."""

    client: "MlflowClient"
    run_id: str
    uri: str
    experiment: str

    def log(
        self,
        *,
        metrics: Mapping[str, float] | None = None,
        params: Mapping[str, Any] | None = None,
        tags: Mapping[str, str] | None = None,
        step: int = 0,
    ) -> None:
        """Write metrics, params (longer texts are cut: the artifact `config.yaml` is whole) and tags in one call.

        What MLflow does not accept in a name becomes an underscore.

        Args:
            step: of the metrics: their place on a curve.
        """
        from mlflow.entities import Metric, Param, RunTag

        now = int(time.time() * _MILLISECONDS)
        self.client.log_batch(
            self.run_id,
            metrics=[Metric(_accepted(key), float(value), now, step) for key, value in (metrics or {}).items()],
            params=[Param(_accepted(key), value) for key, value in as_params(params or {}).items()],
            tags=[RunTag(key, value) for key, value in (tags or {}).items()],
        )

    def artifacts(self, folder: Path) -> None:
        """Store every file of a folder."""
        self.client.log_artifacts(self.run_id, str(folder))

    def lightning_logger(self) -> "MLFlowLogger":
        """Lightning's logger, writing its curves to this very run."""
        from pytorch_lightning.loggers import MLFlowLogger

        return MLFlowLogger(experiment_name=self.experiment, tracking_uri=self.uri, run_id=self.run_id)


class Store:
    """An MLflow experiment in an embedded database or on a server."""

    def __init__(self, settings: TrackingSettings, folder: Path) -> None:
        """Open it; an embedded database and the experiment are created once, under a lock.

        Args:
            folder: holds the embedded database `mlflow.db`, its artifacts and the lock.

        Raises:
            UserError: the database is locked or damaged, or the server does not answer.
        """
        self.uri = store_uri(settings, folder)
        self.home = Path(self.uri.removeprefix("sqlite:///")).parent if is_embedded(self.uri) else folder
        self.experiment = settings.experiment
        self.remote: TrackingSettings | None = None
        self.client, self.experiment_id = opened(self.uri, settings.experiment, folder)

    @contextmanager
    def run(self, name: str, tags: Mapping[str, str]) -> Iterator[Run]:
        """A run for the duration of the block: FINISHED at its end, FAILED on an error, KILLED on an interrupt."""
        created = self.client.create_run(self.experiment_id, run_name=name, tags=dict(tags))
        run = Run(self.client, created.info.run_id, self.uri, self.experiment)
        with explained(self.uri):
            try:
                yield run
            except BaseException as error:
                status = "FAILED" if isinstance(error, Exception) else "KILLED"
                self.end(run.run_id, status, f"{type(error).__name__}: {error}")
                raise
            self.client.set_terminated(run.run_id, status="FINISHED")

    def end(self, run_id: str, status: str, reason: str) -> None:
        """End a run that did not finish; where the store takes nothing any more, that is told, not raised."""
        try:
            with explained(self.uri):
                text = reason.encode("utf8", "backslashreplace").decode()  # a path need not be UTF-8
                self.client.set_tag(run_id, "reason", text[:5000])
                self.client.set_terminated(run_id, status=status)
        except UserError as error:
            log.warning("run %s cannot be marked %s: %s", run_id, status, error)

    def get(self, run_id: str) -> RunRecord | None:
        """One run of the experiment by its number, deleted or not; None where there is none."""
        from mlflow.exceptions import MlflowException

        with explained(self.uri):
            try:
                run = self.client.get_run(run_id)
            except MlflowException as error:
                if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                    return None
                raise
        return _record(run) if run.info.experiment_id == self.experiment_id else None

    def finished(self, identity: str) -> RunRecord | None:
        """The newest FINISHED run of this identity, or None."""
        filter_string = f"tags.identity = '{identity}' AND attributes.status = 'FINISHED'"
        page = self.client.search_runs(
            [self.experiment_id], filter_string, max_results=1, order_by=["attributes.start_time DESC"]
        )
        return _record(page[0]) if page else None

    def artifact(self, run_id: str, name: str) -> bytes:
        """One artifact's bytes.

        Raises:
            UserError: the run has no such artifact.
        """
        from mlflow.exceptions import MlflowException

        try:
            with tempfile.TemporaryDirectory() as folder:
                return Path(self.client.download_artifacts(run_id, name, folder)).read_bytes()
        except (MlflowException, OSError) as error:
            raise UserError(f"run {run_id}: no artifact {name!r} ({str(error).splitlines()[0]})") from error

    def runs(self, filter_string: str = "") -> list[RunRecord]:
        """Every run of the experiment that is not deleted, newest first; `filter_string` as in MLflow's search."""
        found: list[RunRecord] = []
        token = None
        while token != "":
            page = self.client.search_runs(
                [self.experiment_id], filter_string, max_results=1000, order_by=["start_time DESC"], page_token=token
            )
            found += [_record(run) for run in page]
            token = page.token or ""
        return found


def store_uri(settings: TrackingSettings, folder: Path) -> str:
    """The tracking URI with an absolute path where it is a file."""
    if settings.uri is None:
        return f"sqlite:///{folder.resolve() / 'mlflow.db'}"
    if settings.uri.startswith("sqlite:///"):
        return f"sqlite:///{Path(settings.uri.removeprefix('sqlite:///')).resolve()}"
    return settings.uri


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as `group.key` to value; lists stay whole."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def as_params(settings: Mapping[str, Any]) -> dict[str, str]:
    """Flat settings as a run's params hold them: as text that can be stored, cut where MLflow cuts it."""
    return {key: printable(str(value))[:_LONGEST_PARAM] for key, value in settings.items()}


def _record(run: Any) -> RunRecord:
    return RunRecord(
        run_id=run.info.run_id,
        name=run.info.run_name or "",
        status=run.info.status,
        started=run.info.start_time / _MILLISECONDS,
        ended=(run.info.end_time or 0) / _MILLISECONDS,
        tags=dict(run.data.tags),
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        artifacts=run.info.artifact_uri,
        deleted=run.info.lifecycle_stage == "deleted",
    )


def _accepted(name: str) -> str:
    """The name of a metric or param as MLflow accepts it.

    It may hold letters, digits and `_-./: `, at most 250 characters, and must not read like a path with empty parts.
    """
    letters = "".join(c if c.isalnum() or c in "_-./: " else "_" for c in name)
    accepted = "/".join(part if part.strip(".") else "_" for part in letters.split("/"))
    if len(accepted) <= _LONGEST_NAME:
        return accepted
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]  # tells apart names that begin alike
    return f"{accepted[: _LONGEST_NAME - 9]}-{digest}"
