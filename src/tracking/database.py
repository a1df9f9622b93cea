"""How a tracking store is opened: a database is made whole or not at all, and knows where its artifacts are."""

import errno
import logging
import os
import shlex
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from filelock import FileLock

from src.errors import UserError, redact

if TYPE_CHECKING:
    from mlflow import MlflowClient

log = logging.getLogger(__name__)

PATIENCE = 60.0
"""Seconds to wait for a database that another program holds."""
PROBE = 5.0
"""Seconds within which a server must answer."""
ARTIFACTS = "artifacts"
"""Tag of a run: name, size and digest of each artifact. Also the folder beside an embedded database."""

_SQLITE = "sqlite:///"
# Columns of MLflow 3.17's tables that hold addresses of artifacts.
_ADDRESSES = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "logged_models": ("artifact_location",),
    "model_versions": ("source", "storage_location"),
    "workspaces": ("default_artifact_root", "trace_archival_location"),
    "trace_tags": ("value",),
}
_HOMES = "earsight_homes"
_UNWRITABLE = (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Opened:
    """An experiment of an open store.

    Attributes:
        artifacts: folder of the experiment's artifacts on this disk; None: a server has them.
        former: folders that the embedded database lay in before, the newest last.
    """

    client: "MlflowClient"
    experiment_id: str
    artifacts: Path | None = None
    former: tuple[Path, ...] = ()

    def folder(self, run_id: str) -> Path | None:
        """Folder of a run's artifacts on this disk; None: a server has them."""
        return None if self.artifacts is None else self.artifacts / run_id / "artifacts"


@cache
def opened(uri: str, experiment: str) -> Opened:
    """Open a store; an embedded database and the experiment are created where they are not there.

    A database that was moved or copied is told by the folder that it recorded: its addresses of artifacts are then
    rewritten to the folder where it is now, in one transaction and under a lock. One that cannot be written is read as
    it is, and its artifacts are found from where it is.

    Args:
        uri: `sqlite:///` with an absolute path (see `uri_of`), or a server's address.

    Raises:
        UserError: the store cannot be used, for the reason given; or the experiment was deleted.
    """
    for name, level in (("alembic", logging.WARNING), ("mlflow", logging.WARNING), ("mlflow.store.db", logging.FATAL)):
        logging.getLogger(name).setLevel(level)
    return _opened_file(uri, experiment) if is_embedded(uri) else _opened_on_server(uri, experiment)


def is_embedded(uri: str) -> bool:
    """Whether the store is a file on this machine."""
    return uri.startswith(_SQLITE)


def uri_of(path: Path) -> str:
    """The URI of a database file, as SQLAlchemy and MLflow both read it."""
    text = str(path)
    # SQLAlchemy decodes percent signs and ends the path at a question mark. MLflow makes the folder of the path before
    # it is decoded: with its slashes encoded, that is the working directory.
    return _SQLITE + (quote(text, safe="") if set(text) & set("%?") else text)


def file_of(uri: str) -> Path:
    """The inverse of `uri_of`."""
    return Path(unquote(uri.removeprefix(_SQLITE)))


def probe(uri: str) -> None:
    """See within seconds whether a server answers; MLflow's own client would try for minutes.

    Raises:
        requests.RequestException: it does not.
    """
    import requests

    answer = requests.get(f"{uri.rstrip('/')}/health", timeout=PROBE)
    # a proxy in front of a server that is away
    if answer.status_code >= 500:
        answer.raise_for_status()


def local_path(address: str) -> Path | None:
    """Where an address of artifacts lies on this disk; None: it names another machine or service."""
    parts = urlsplit(address)
    if parts.scheme == "file" and parts.netloc in ("", "localhost"):
        return Path(unquote(parts.path))
    return Path(address) if address.startswith("/") else None


@contextmanager
def explained(uri: str, *more: type[BaseException]) -> Iterator[None]:
    """Turn what MLflow raises (and `more`) where its store cannot be used into an error that names the reason.

    Raises:
        UserError: in place of the other.
    """
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except UserError:
        raise
    except (MlflowException, SQLAlchemyError, *more) as error:  # type: ignore[misc]  # a tuple of exceptions all the same
        told = _file_trouble(file_of(uri), error) if is_embedded(uri) else _server_trouble(uri, error)
        raise UserError(told) from error


def folder_trouble(folder: Path, error: OSError) -> str:
    """Why a folder cannot be written, with the way out."""
    return f"{folder}: {_reason(folder, error) or _first_line(error)}"


def _opened_on_server(uri: str, experiment: str) -> Opened:
    import requests
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException

    with explained(uri, requests.RequestException):
        probe(uri)
        client = MlflowClient(tracking_uri=uri)
        if client.get_experiment_by_name(experiment) is None:
            try:
                client.create_experiment(experiment)
            except MlflowException as error:
                # another machine made it just now
                if error.error_code != "RESOURCE_ALREADY_EXISTS":
                    raise
        number, _ = _living(client, experiment, uri)
    return Opened(client, number)


def _opened_file(uri: str, experiment: str) -> Opened:
    from mlflow import MlflowClient

    path = file_of(uri)
    with explained(uri, OSError, sqlite3.Error), _alone(path) as unwritable:
        if unwritable is None:
            _create(path)
        with closing(_connected(path, "rw" if unwritable is None else "ro")) as database:
            _check_schema(path, database)
            if unwritable is None:
                _relocate(path, database)
            homes = _homes(database)
        client = MlflowClient(tracking_uri=uri)
        if client.get_experiment_by_name(experiment) is None:
            if unwritable is not None:
                raise unwritable
            folder = path.parent / ARTIFACTS / experiment.replace("/", "_")
            client.create_experiment(experiment, artifact_location=folder.as_uri())
        number, address = _living(client, experiment, uri)
    artifacts = local_path(address)
    if artifacts is not None and homes:
        # where the database could not be rewritten, its addresses still name the recorded folder
        artifacts = _moved(artifacts, homes[-1], path.parent)
    return Opened(client, number, artifacts, tuple(homes))


def _living(client: "MlflowClient", experiment: str, uri: str) -> tuple[str, str]:
    """Number and address of artifacts of an experiment that is there.

    Raises:
        UserError: it was deleted.
    """
    known = client.get_experiment_by_name(experiment)
    if known is None or known.lifecycle_stage == "deleted":
        raise UserError(
            f"tracking.experiment: {experiment!r} was deleted in {redact(uri)}; restore it in MLflow "
            "(mlflow experiments restore), or choose another name with tracking.experiment=NAME"
        )
    return known.experiment_id, known.artifact_location


@contextmanager
def _alone(path: Path) -> Iterator[OSError | None]:
    """Hold a database's opening, alone among processes; why it cannot be written, or None where it can."""
    lock = FileLock(path.parent / f".{path.name}.lock", timeout=2 * PATIENCE)
    unwritable: OSError | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        if path.exists() and not _may(path, os.W_OK):
            unwritable = PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    except OSError as error:
        if error.errno not in _UNWRITABLE or not path.exists():
            raise
        unwritable = error
    try:
        yield unwritable
    finally:
        lock.release()


def _create(path: Path) -> None:
    """Make a database under another name and move it into place: one that is half made can never be opened."""
    from mlflow import MlflowClient

    if path.exists() and path.stat().st_size:
        return
    draft = path.with_name(f".{path.name}.draft")
    for left in draft.parent.glob(f"{draft.name}*"):
        left.unlink()
    MlflowClient(tracking_uri=uri_of(draft)).search_experiments(max_results=1)
    with closing(_connected(draft, "rw")) as database:
        # MLflow puts the artifacts of its default experiment below the working directory
        address = (path.parent / ARTIFACTS / "Default").as_uri()
        database.execute("UPDATE experiments SET artifact_location = ?", (address,))
        _record(database, path.parent)
    draft.replace(path)


def _connected(path: Path, mode: str) -> sqlite3.Connection:
    """A connection in autocommit mode, as soon as no other program holds the database whole."""
    database = sqlite3.connect(f"file:{quote(str(path))}?mode={mode}", PATIENCE, isolation_level=None, uri=True)
    try:
        database.execute("SELECT count(*) FROM sqlite_master")
    except sqlite3.Error:
        database.close()
        raise
    return database


def _check_schema(path: Path, database: sqlite3.Connection) -> None:
    """Refuse a database that is not of the installed MLflow's schema, which MLflow would change or blame wrongly.

    Raises:
        UserError: it is another program's, or an older or newer MLflow's.
    """
    import mlflow
    from alembic.script import ScriptDirectory

    if not _has_table(database, "alembic_version"):
        raise UserError(_unusable(path, "it has no table of MLflow's"))
    versions = [str(row[0]) for row in database.execute("SELECT version_num FROM alembic_version")]
    script = ScriptDirectory(str(Path(mlflow.__file__).parent / "store" / "db_migrations"))
    if versions == list(script.get_heads()):
        return
    if not versions:
        raise UserError(_unusable(path, "its tables are incomplete"))
    if set(versions) <= {revision.revision for revision in script.walk_revisions()}:
        raise UserError(
            f"{path}: an older MLflow made this database (schema {', '.join(versions)}; MLflow {mlflow.__version__} "
            f"has {', '.join(script.get_heads())}). Back the file up, then convert it: "
            f"mlflow db upgrade {shlex.quote(uri_of(path))}"
        )
    raise UserError(
        f"{path}: a newer MLflow made this database (schema {', '.join(versions)} is unknown to MLflow "
        f"{mlflow.__version__}, which is installed here). Use the earsight and the packages that wrote it, or start "
        "another store with paths.tracking=FOLDER"
    )


def _has_table(database: sqlite3.Connection, name: str) -> bool:
    found = database.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (name,))
    return found.fetchone() is not None


def _homes(database: sqlite3.Connection) -> list[Path]:
    """Folders that the database knows it lay in; the last is the one that its addresses name."""
    if not _has_table(database, _HOMES):
        return []
    rows = database.execute(f"SELECT address FROM {_HOMES} ORDER BY number")  # noqa: S608  # a constant
    return [Path(unquote(urlsplit(row[0]).path)) for row in rows]


def _record(database: sqlite3.Connection, home: Path) -> None:
    database.execute(f"CREATE TABLE IF NOT EXISTS {_HOMES} (number INTEGER PRIMARY KEY, address TEXT NOT NULL)")
    database.execute(f"INSERT INTO {_HOMES} (address) VALUES (?)", (home.as_uri(),))  # noqa: S608  # a constant


def _relocate(path: Path, database: sqlite3.Connection) -> None:
    """Rewrite the addresses of a database that was moved or copied, all or none of them."""
    home = path.parent
    if _is_home(_homes(database), path):
        return
    database.execute("BEGIN IMMEDIATE")
    homes = _homes(database)
    if _is_home(homes, path):  # another process was first
        database.execute("ROLLBACK")
        return
    changed = 0
    if homes:
        old = homes[-1]
        database.create_function("relocated", 1, lambda address: _relocated(address, old, home), deterministic=True)
        for table, columns in _ADDRESSES.items():
            for column in columns:
                words = f"UPDATE {table} SET {column} = relocated({column}) WHERE {column} <> relocated({column})"  # noqa: S608  # constants
                changed += database.execute(words).rowcount
    _record(database, home)
    database.execute("COMMIT")
    if homes:
        log.info("%s was in %s before: %d addresses of artifacts now name this folder", path, homes[-1], changed)
        _warn_of_missing(path, database, homes)


def _is_home(homes: Sequence[Path], path: Path) -> bool:
    """Whether the recorded folder is the one that the database lies in, also where it is seen by another path."""
    if not homes:
        return False
    try:
        return homes[-1] == path.parent or (homes[-1] / path.name).samefile(path)
    except OSError:
        return False


def _moved(path: Path, old: Path, new: Path) -> Path:
    """A path below the old folder, below the new one; any other as it is."""
    return new / path.relative_to(old) if path.is_relative_to(old) else path


def _relocated(address: str | None, old: Path, new: Path) -> str | None:
    path = None if address is None else local_path(address)
    if address is None or path is None or not path.is_relative_to(old):
        return address
    moved = _moved(path, old, new)
    return str(moved) if address.startswith("/") else moved.as_uri()


def _warn_of_missing(path: Path, database: sqlite3.Connection, homes: Sequence[Path]) -> None:
    words = (
        "SELECT run_uuid, artifact_uri FROM runs WHERE lifecycle_stage = 'active' AND run_uuid IN "
        "(SELECT run_uuid FROM tags WHERE key = ?)"
    )
    places = ((run_id, local_path(address)) for run_id, address in database.execute(words, (ARTIFACTS,)))
    missing = [run_id for run_id, place in places if place is not None and not place.is_dir()]
    if missing:
        log.warning(
            "%s: the artifacts of %d runs (such as %s) are not in %s. The database was in %s before; copy the folder "
            "%s from there", path, len(missing), missing[0], path.parent / ARTIFACTS, homes[-1], ARTIFACTS,
        )  # fmt: skip


def _server_trouble(uri: str, error: BaseException) -> str:
    return (
        f"tracking.uri={redact(uri)}: the server does not answer as MLflow ({redact(_first_line(error))}). Start it, "
        "check its address, user and password, or leave tracking.uri out to use the embedded database"
    )


def _file_trouble(path: Path, error: BaseException) -> str:
    reason = _reason(path, error)
    return f"{path}: {reason}" if reason else _unusable(path, _first_line(error))


def _unusable(path: Path, reason: str) -> str:
    return (
        f"{path}: cannot be used as an MLflow database ({reason}). If it is damaged, move it away: the next run starts "
        "a new one, with what had finished taken from ledger/ beside it; if it is another program's, give "
        "tracking.uri=sqlite:///FILE"
    )


def _reason(path: Path, error: BaseException) -> str:
    """Why a file or folder cannot be used, with the way out; empty where that is not known.

    The cause is told by error numbers of the system and of SQLite; where these leave it open (SQLite says `unable to
    open` of many things), by a look at the file itself.
    """
    numbers, codes = set(), set()
    for cause in _causes(error):
        if isinstance(cause, OSError) and cause.errno is not None:
            numbers.add(cause.errno)
        if isinstance(cause, sqlite3.Error):
            codes.add(getattr(cause, "sqlite_errorcode", 0) & 0xFF)
    unclear = codes & {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_IOERR}
    elsewhere = "or use another store with paths.tracking=FOLDER"
    if numbers & {errno.ENOSPC, errno.EDQUOT} or sqlite3.SQLITE_FULL in codes or (unclear and _is_full(path)):
        return (
            "the disk is full. Free some space (the feature cache, `python -m src.prepare.cache`, may be pruned) and "
            f"give the same command again: what had finished is known; {elsewhere}"
        )
    if errno.EROFS in numbers or (unclear and _is_read_only(path)):
        return f"on a read-only file system: its runs can be read, but none can be added. Make it writable, {elsewhere}"
    if numbers & {errno.EACCES, errno.EPERM} or (unclear and not _is_allowed(path)):
        return (
            f"permission denied: user {os.geteuid()} may not read and write it and its folder (owner "
            f"{_owner(path)}). Change the permissions, {elsewhere}"
        )
    if codes & {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        return (
            f"locked: another program has held the database for {PATIENCE:.0f} s. End it (`fuser FILE` names it), then "
            "give the same command again"
        )
    if any(isinstance(cause, TimeoutError) for cause in _causes(error)):
        return "locked: another process has been opening it for minutes. End it, then give the same command again"
    return ""


def _causes(error: BaseException) -> Iterator[BaseException]:
    """An error and those that led to it."""
    yield error
    cause = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    if cause is not None:
        yield from _causes(cause)


def _existing(path: Path) -> Path:
    # unlike Path.exists, False where a folder on the way is closed
    return next(place for place in (path, *path.parents) if os.path.exists(place))  # noqa: PTH110


def _is_full(path: Path) -> bool:
    return os.statvfs(_existing(path)).f_bavail == 0


def _is_read_only(path: Path) -> bool:
    return bool(os.statvfs(_existing(path)).f_flag & os.ST_RDONLY)


def _is_allowed(path: Path) -> bool:
    here, folder = _existing(path), _existing(path.parent)
    return _may(here, os.R_OK | os.W_OK) and _may(folder, os.R_OK | os.W_OK | os.X_OK)


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _owner(path: Path) -> str:
    found = _existing(path).stat()
    return f"{found.st_uid}, mode {stat.filemode(found.st_mode)}"


def _first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
