"""How a tracking store is opened: an embedded database whole or not there, trouble told with the way out."""

import hashlib
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from filelock import FileLock

from src.errors import UserError

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PATIENCE = 60.0  # seconds


@cache
def opened(uri: str, experiment: str, folder: Path) -> tuple["MlflowClient", str]:
    """A client and the experiment's number; an embedded database and the experiment are created once, under a lock.

    Args:
        uri: with an absolute path where it is a file. folder: of the lock, and of artifacts that no server takes.

    Raises:
        UserError: the database is locked or damaged, the server does not answer, the experiment was deleted.
    """
    from mlflow import MlflowClient

    logging.getLogger("alembic").setLevel(logging.WARNING)
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    home = Path(uri.removeprefix("sqlite:///")).parent if is_embedded(uri) else folder
    # the file's name, not its path: machines that share the disk may see it elsewhere
    name = hashlib.sha256(uri.rpartition("/")[2].encode()).hexdigest()[:12]
    with explained(uri, OSError):
        home.mkdir(parents=True, exist_ok=True)
        with FileLock(home / f".{name}.lock", timeout=120):
            if is_embedded(uri):
                _create(Path(uri.removeprefix("sqlite:///")))
                _wait(Path(uri.removeprefix("sqlite:///")))
            client = MlflowClient(tracking_uri=uri)
            known = client.get_experiment_by_name(experiment)
            if known is None:
                place = None if uri.startswith("http") else (home.resolve() / "artifacts" / experiment).as_uri()
                return client, client.create_experiment(experiment, artifact_location=place)
    if known.lifecycle_stage == "deleted":
        raise UserError(
            f"tracking.experiment: {experiment!r} was deleted in {_shown(uri)}; restore it in MLflow "
            "(mlflow experiments restore), or choose another name with tracking.experiment=NAME"
        )
    return client, known.experiment_id


def is_embedded(uri: str) -> bool:
    """Whether the store is a file on this machine."""
    return uri.startswith("sqlite:///")


def _create(path: Path) -> None:
    """Make a database under another name and move it into place: one that is half made can never be opened."""
    from mlflow import MlflowClient

    if path.exists():
        return
    draft = path.with_name(f".{path.name}.draft")
    for left in draft.parent.glob(f"{draft.name}*"):
        left.unlink()
    MlflowClient(tracking_uri=f"sqlite:///{draft}").search_experiments(max_results=1)
    draft.replace(path)


def _wait(path: Path) -> None:
    """Until no other program holds the database whole: MLflow itself gives up after 5 s while it opens one.

    Raises:
        OSError: it is held for longer than `_PATIENCE`, or damaged.
    """
    with closing(sqlite3.connect(path, timeout=_PATIENCE)) as database:
        try:
            database.execute("SELECT count(*) FROM sqlite_master")
        except sqlite3.Error as error:
            raise OSError(str(error)) from error


@contextmanager
def explained(uri: str, more: type[Exception] = UserError) -> Iterator[None]:
    """Advice in place of what MLflow raises (and `more`) where its store cannot be used."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, more) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(_advice(uri, error)) from error


def _advice(uri: str, error: BaseException) -> str:
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if is_embedded(uri):
        return (
            f"{uri.removeprefix('sqlite:///')}: cannot be used as an MLflow database ({first}). If the disk is full or "
            "another program holds the file, free it; if it is damaged, move it away: the next run starts a new one, "
            "with what had finished taken from ledger/ beside it; if it is elsewhere, give tracking.uri=sqlite:///FILE"
        )
    return (
        f"tracking.uri={_shown(uri)}: the server does not answer as MLflow ({first}). Start it with `make server`, or "
        "leave tracking.uri out to use the embedded database"
    )


def _shown(uri: str) -> str:
    """The URI without a password."""
    parts = urlsplit(uri)
    return uri.replace(f":{parts.password}@", ":***@") if parts.password else uri
