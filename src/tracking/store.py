"""MLflow runs: one a job, read back as plain records."""

import hashlib
import json
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from src.errors import UserError, printable, redact
from src.head.signals import uninterrupted
from src.tracking.database import ARTIFACTS, Opened, explained, file_of, folder_trouble, is_embedded, opened, uri_of

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
_LONGEST_TAG = 8000  # MLflow cuts longer ones
_MILLISECONDS = 1000

Files = dict[str, tuple[int, str]]
"""Artifacts by name, with `/` between folders: size in bytes and SHA-256 (32 hex digits)."""


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
        if self.uri is None:
            return
        shown = redact(self.uri)
        if self.uri.startswith(("postgresql", "mysql", "mssql")):
            raise UserError(
                f"tracking.uri: got {shown}, a database; a database keeps no artifacts, so runs are not written to one "
                "directly. Start MLflow's server on it, `mlflow server --backend-store-uri URI --artifacts-destination "
                "FOLDER`, and give tracking.uri=http://HOST:PORT"
            )
        web = self.uri.startswith(("http://", "https://"))
        file = self.uri.startswith("sqlite:///") and self.uri not in ("sqlite:///", "sqlite:///:memory:")
        if not (web or file) or (web and self.uri.split() != [self.uri]):
            raise UserError(
                f"tracking.uri: got {shown!r}; expected sqlite:///FILE, or http(s)://HOST:PORT of an MLflow server"
            )


@dataclass(frozen=True)
class RunRecord:
    """One run as read back from MLflow.

    Attributes:
        status: `FINISHED`, `FAILED`, `RUNNING` or `KILLED`.
        started, ended: seconds since 1970 (ended 0: not yet).
        artifacts: address of its folder of artifacts; a `file:` address where that is on this disk.
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

    @property
    def files(self) -> Files:
        """The artifacts that it was given, by its own record."""
        return recorded_files(self.tags)


@dataclass
class Run:
    """A run being written; every call goes to MLflow at once.

    Attributes:
        files: the artifacts that it was given so far.
    """

    store: "Store"
    run_id: str
    files: Files = field(default_factory=dict)

    @property
    def client(self) -> "MlflowClient":
        """The store's."""
        return self.store.client

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
        with uninterrupted():
            self.client.log_batch(
                self.run_id,
                metrics=[Metric(_accepted(key), float(value), now, step) for key, value in (metrics or {}).items()],
                params=[Param(_accepted(key), value) for key, value in as_params(params or {}).items()],
                tags=[RunTag(key, value) for key, value in (tags or {}).items()],
            )

    def artifacts(self, folder: Path) -> None:
        """Store every file of a folder, and record their sizes and digests."""
        with uninterrupted():
            self.store.put(self.run_id, folder)
            self.files |= files_in(folder)
            self.client.set_tag(self.run_id, ARTIFACTS, files_tag(self.files))

    def lightning_logger(self) -> "MLFlowLogger":
        """Lightning's logger, writing its curves to this very run."""
        from pytorch_lightning.loggers import MLFlowLogger

        return MLFlowLogger(experiment_name=self.store.experiment, tracking_uri=self.store.uri, run_id=self.run_id)


class Store:
    """An MLflow experiment in an embedded database or on a server."""

    def __init__(self, settings: TrackingSettings, folder: Path) -> None:
        """Open it; an embedded database and the experiment are created once, under a lock.

        Args:
            folder: holds the embedded database `mlflow.db`, its artifacts and the lock.

        Raises:
            UserError: the database or the server cannot be used.
        """
        self.uri = store_uri(settings, folder)
        self.home = file_of(self.uri).parent if is_embedded(self.uri) else folder
        self.experiment = settings.experiment
        self.remote: TrackingSettings | None = None
        self._opened: Opened = opened(self.uri, settings.experiment)
        self.client, self.experiment_id = self._opened.client, self._opened.experiment_id

    @property
    def shown(self) -> str:
        """Where it is, for a person."""
        return str(file_of(self.uri)) if is_embedded(self.uri) else redact(self.uri)

    @contextmanager
    def run(self, name: str, tags: Mapping[str, str]) -> Iterator[Run]:
        """A run for the duration of the block: FINISHED at its end, FAILED on an error, KILLED on an interrupt."""
        run: Run | None = None
        with explained(self.uri):
            try:
                with uninterrupted():
                    created = self.client.create_run(self.experiment_id, run_name=name, tags=dict(tags))
                    run = Run(self, created.info.run_id)
                yield run
            except BaseException as error:
                if run is not None:
                    status = "FAILED" if isinstance(error, Exception) else "KILLED"
                    self.end(run.run_id, status, f"{type(error).__name__}: {error}")
                raise
            with uninterrupted():
                self.client.set_terminated(run.run_id, status="FINISHED")

    def end(self, run_id: str, status: str, reason: str) -> None:
        """End a run that did not finish; where the store takes nothing any more, that is told, not raised."""
        try:
            with explained(self.uri):
                text = redact(reason).encode("utf8", "backslashreplace").decode()  # a path need not be UTF-8
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
        return self._record(run) if run.info.experiment_id == self.experiment_id else None

    def finished(self, identity: str) -> RunRecord | None:
        """The newest FINISHED run of this identity, or None."""
        filter_string = f"tags.identity = '{identity}' AND attributes.status = 'FINISHED'"
        with explained(self.uri):
            page = self.client.search_runs(
                [self.experiment_id], filter_string, max_results=1, order_by=["attributes.start_time DESC"]
            )
        return self._record(page[0]) if page else None

    def put(self, run_id: str, folder: Path, within: str = "") -> None:
        """Store every file of a folder as artifacts of a run, over those of the same names.

        Args:
            within: folder below the run's artifacts to put them in.

        Raises:
            UserError: the store does not take them.
        """
        place = self._opened.folder(run_id)
        with explained(self.uri, OSError):
            if place is None:
                self.client.log_artifacts(run_id, str(folder), within or None)
                return
            for path in (path for path in folder.rglob("*") if path.is_file()):
                target = place / within / path.relative_to(folder)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)  # with the permissions of a new file, not of a temporary one

    def artifact(self, run_id: str, name: str) -> bytes:
        """One artifact's bytes.

        Raises:
            UserError: the run has no such artifact, or it is lost.
        """
        from mlflow.exceptions import MlflowException

        place = self._opened.folder(run_id)
        try:
            if place is not None:
                return (place / name).read_bytes()
            with tempfile.TemporaryDirectory() as folder:
                return Path(self.client.download_artifacts(run_id, name, folder)).read_bytes()
        except (MlflowException, OSError) as error:
            if isinstance(error, PermissionError) and place is not None:
                raise UserError(f"run {run_id}: {folder_trouble(place / name, error)}") from error
            why = redact((str(error) or type(error).__name__).splitlines()[0])
            raise UserError(f"run {run_id}: no artifact {name!r} ({why}). {self._way_out(run_id, name)}") from error

    @contextmanager
    def artifacts(self, run_id: str) -> Iterator[Path]:
        """A folder that holds a run's artifacts: the store's own where it is on this disk, else a fetched copy.

        An empty folder where the run has none.

        Raises:
            UserError: they cannot be fetched.
        """
        place = self._opened.folder(run_id)
        if place is not None and place.is_dir():
            yield place
            return
        with tempfile.TemporaryDirectory() as name:
            with explained(self.uri, OSError):
                if place is None and self.client.list_artifacts(run_id):
                    self.client.download_artifacts(run_id, "", name)
            yield Path(name)

    def holds(self, run: RunRecord) -> bool:
        """Whether a run's artifacts are this store's, on this disk."""
        place = self._opened.folder(run.run_id)
        return place is not None and run.artifacts == place.as_uri()

    def missing(self, run: RunRecord, *, read: bool = True) -> list[str]:
        """What is wrong with a run's artifacts: each that is not there as the run recorded it, and how.

        Args:
            read: whether to compare digests; else only names and sizes are looked at, of what is on this disk.
        """
        place = self._opened.folder(run.run_id)
        if read:
            with self.artifacts(run.run_id) as folder, explained(self.uri, OSError):
                return differences(run.files, files_in(folder))
        if place is None:
            return []
        sizes = {name: (place / name).stat().st_size for name in run.files if (place / name).is_file()}
        return differences(run.files, {name: (size, run.files[name][1]) for name, size in sizes.items()})

    def _way_out(self, run_id: str, name: str) -> str:
        """Advice where an artifact cannot be read."""
        run = self.get(run_id)
        if run is None or name not in run.files:
            return "The run never had it: run it again with the settings it had and force=true"
        place = self._opened.artifacts
        if place is not None and place.is_relative_to(self.home):
            for home in reversed(self._opened.former):
                former = home / place.relative_to(self.home) / run_id
                if home != self.home and os.path.isdir(former):  # noqa: PTH112  # False where the folder is closed
                    return f"It is where the store was before: copy {former} to {place}"
        return "It is lost: bring it back from a copy of the store, or run it again with force=true"

    def runs(self, filter_string: str = "") -> list[RunRecord]:
        """Every run of the experiment that is not deleted, newest first; `filter_string` as in MLflow's search."""
        found: list[RunRecord] = []
        token = None
        with explained(self.uri):
            while token != "":
                page = self.client.search_runs(
                    [self.experiment_id], filter_string, max_results=1000, order_by=["start_time DESC"],
                    page_token=token,
                )  # fmt: skip
                found += [self._record(run) for run in page]
                token = page.token or ""
        return found

    def _record(self, run: Any) -> RunRecord:
        place = self._opened.folder(run.info.run_id)
        record = _record(run)
        return record if place is None else replace(record, artifacts=place.as_uri())


def files_in(folder: Path) -> Files:
    """What a folder holds."""
    found: Files = {}
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()[:32]
        found[path.relative_to(folder).as_posix()] = (path.stat().st_size, digest)
    return found


def recorded_files(tags: Mapping[str, str]) -> Files:
    """The artifacts that a run's tags record; none where they record nothing.

    Raises:
        UserError: the tag is damaged.
    """
    try:
        content = json.loads(tags.get(ARTIFACTS, "{}"))
        return {str(name): (int(size), str(digest)) for name, (size, digest) in content.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f"the tag {ARTIFACTS!r} of a run is damaged ({error})") from error


def files_tag(files: Files) -> str:
    """The tag that records a run's artifacts.

    Raises:
        UserError: they are more than a tag can name.
    """
    text = json.dumps(files, ensure_ascii=False, sort_keys=True)
    if len(text) > _LONGEST_TAG:
        raise UserError(f"a run with {len(files)} artifacts: more than its tag {ARTIFACTS!r} can name")
    return text


def differences(expected: Files, found: Files) -> list[str]:
    """Each file that is not as expected, and how; files that nobody expects are no matter."""
    told = []
    for name, (size, digest) in expected.items():
        if name not in found:
            told.append(f"{name} is missing")
        elif found[name] != (size, digest):
            other = found[name][0]
            told.append(f"{name} has {other} bytes instead of {size}" if other != size else f"{name} has other content")
    return told


def store_uri(settings: TrackingSettings, folder: Path) -> str:
    """The tracking URI with an absolute path, links followed, where it is a file."""
    if settings.uri is None:
        return uri_of((folder / "mlflow.db").resolve())
    if is_embedded(settings.uri):
        return uri_of(Path(settings.uri.removeprefix("sqlite:///")).resolve())
    return settings.uri


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as `group.key` to value; lists stay whole."""
    found: dict[str, Any] = {}
    for key, value in settings.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {f"{prefix}{key}": value}
    return found


def as_params(settings: Mapping[str, Any]) -> dict[str, str]:
    """Flat settings as a run's params hold them: as text that can be stored and shown, cut where MLflow cuts it."""
    return {key: printable(redact(str(value)))[:_LONGEST_PARAM] for key, value in settings.items()}


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
