"""Stores that were moved, copied, closed, filled, damaged or made by another MLflow: found again, or told as it is."""

import hashlib
import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from pathlib import Path
from typing import Any

import pytest

from src.errors import UserError
from src.tracking import database
from src.tracking.store import Store, TrackingSettings

EXPERIMENT = "earsight"


def store_in(home: Path, experiment: str = EXPERIMENT) -> Store:
    """The store of a folder, opened anew."""
    database.opened.cache_clear()
    return Store(TrackingSettings(None, experiment), home)


def add_run(store: Store, content: str) -> str:
    with tempfile.TemporaryDirectory() as name, store.run("x", {"identity": "0" * 32}) as run:
        (Path(name) / "inner").mkdir()
        (Path(name) / "inner" / "a b.txt").write_text(content)
        run.artifacts(Path(name))
    return run.run_id


def read(store: Store, run_id: str) -> str:
    return store.artifact(run_id, "inner/a b.txt").decode()


def read_by_mlflow(store: Store, run_id: str, folder: Path) -> str:
    """As MLflow's own client and pages find it, by the address in the database."""
    return Path(store.client.download_artifacts(run_id, "inner/a b.txt", str(folder))).read_text()


def content_of(home: Path) -> dict[str, str]:
    """Digest of every file below a folder."""
    files = (path for path in home.rglob("*") if path.is_file())
    return {str(path.relative_to(home)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def rows(home: Path, query: str) -> list[Any]:
    with closing(sqlite3.connect(home / "mlflow.db")) as opened:
        return opened.execute(query).fetchall()


def changed(home: Path, words: str) -> None:
    with closing(sqlite3.connect(home / "mlflow.db")) as opened:
        opened.executescript(words)
        opened.commit()


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A store and the run in it; with a registered and a logged model and a trace, whose addresses MLflow keeps too."""
    home = tmp_path_factory.mktemp("the original") / "mlruns"
    store = store_in(home)
    run_id = add_run(store, "of the original")
    run = store.get(run_id)
    assert run is not None
    store.client.create_registered_model("m")
    store.client.create_model_version("m", f"{run.artifacts}/inner", run_id)
    store.client.create_logged_model(store.experiment_id, name="n", source_run_id=run_id)
    address = f"{run.artifacts}/traces/t"
    columns = "request_id, experiment_id, timestamp_ms, status"
    with closing(sqlite3.connect(home / "mlflow.db")) as opened:
        opened.execute(f"INSERT INTO trace_info ({columns}) VALUES ('t', ?, 1, 'OK')", (store.experiment_id,))  # noqa: S608  # our own
        opened.execute("INSERT INTO trace_tags VALUES ('mlflow.artifactLocation', ?, 't')", (address,))
        opened.commit()
    return home, run_id


@pytest.fixture
def home(original: tuple[Path, str], tmp_path: Path) -> Path:
    """A copy of the original that knows where it is."""
    folder = Path(shutil.copytree(original[0], tmp_path / "home"))
    store_in(folder)
    return folder


@pytest.mark.parametrize("name", ["plain", "with blanks", "Tänze 音", "100%", "%41%2F", "a#b?c;d&e='f'"])
@pytest.mark.parametrize("how", ["copied", "moved"])
def test_artifacts_are_found_where_the_store_is(
    original: tuple[Path, str], home: Path, tmp_path: Path, name: str, how: str
) -> None:
    place = tmp_path / name / "mlruns"
    place.parent.mkdir()
    beside = sorted(path.name for path in tmp_path.iterdir())
    if how == "moved":
        home.rename(place)
        beside.remove("home")
    else:
        shutil.copytree(home, place)
    store, run_id = store_in(place), original[1]
    assert read(store, run_id) == "of the original"
    assert read_by_mlflow(store, run_id, tmp_path / "plain or not") == "of the original"
    version = store.client.get_model_version("m", "1")
    assert version.source == (place / f"artifacts/{EXPERIMENT}/{run_id}/artifacts/inner").as_uri()
    again = add_run(store, "of the copy")
    assert read_by_mlflow(store, again, tmp_path / "plain or not") == "of the copy"
    known = {"earsight_homes"}
    for (table,) in rows(place, "SELECT name FROM sqlite_master WHERE type = 'table'"):
        found = [row for row in rows(place, f"SELECT * FROM {table}") for value in row if names(value, home)]  # noqa: S608  # our own
        assert not found or table in known, f"{table} still names the former place: {found}"
    shutil.rmtree(tmp_path / "plain or not")
    assert sorted(path.name for path in tmp_path.iterdir()) == beside, "nothing is made beside it"


def names(value: object, folder: Path) -> bool:
    return isinstance(value, str) and (str(folder) + "/" in value or folder.as_uri() + "/" in value)


def test_a_copy_leaves_the_original_as_it_is(home: Path, tmp_path: Path) -> None:
    before = content_of(home)
    copy = Path(shutil.copytree(home, tmp_path / "copy"))
    run_id = add_run(store_in(copy), "of the copy")
    assert content_of(home) == before
    assert store_in(copy).runs()[0].run_id == run_id
    assert len(store_in(home).runs()) == 1
    assert len(list((copy / "artifacts" / EXPERIMENT).iterdir())) == 2


def test_a_store_seen_by_two_paths_is_one_store(home: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(home)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "mlflow.db").symlink_to(home / "mlflow.db")
    before = rows(home, "SELECT * FROM earsight_homes")
    for place in (tmp_path / "link", home, tmp_path / "elsewhere"):
        run_id = add_run(store_in(place), "of one")
        assert read(store_in(home), run_id) == "of one"
    assert rows(home, "SELECT * FROM earsight_homes") == before
    assert [path.name for path in (tmp_path / "elsewhere").iterdir()] == ["mlflow.db"]


def test_a_folder_mounted_at_two_places_is_one_store(home: Path, bound: Callable[[Path, str], Path]) -> None:
    other, before = bound(home, "mounted"), rows(home, "SELECT artifact_uri FROM runs")
    run_id = add_run(store_in(other), "of one")
    assert read(store_in(home), run_id) == read(store_in(other), run_id) == "of one"
    assert [row for row in rows(home, "SELECT artifact_uri FROM runs") if run_id not in row[0]] == before


def test_addresses_are_rewritten_all_or_none(home: Path, tmp_path: Path) -> None:
    changed(home, "CREATE TRIGGER no BEFORE UPDATE ON model_versions BEGIN SELECT RAISE(ABORT, 'not this one'); END;")
    place = home.rename(tmp_path / "moved")
    query = "SELECT artifact_uri FROM runs UNION SELECT artifact_location FROM experiments"
    before = rows(place, query)
    with pytest.raises(UserError, match="not this one"):
        store_in(place)
    assert rows(place, query) == before
    changed(place, "DROP TRIGGER no;")
    store_in(place)
    assert not set(rows(place, query)) & set(before)


def test_what_lies_elsewhere_on_purpose_stays_there(home: Path, tmp_path: Path) -> None:
    far = (tmp_path / "big disk" / "x").as_uri()
    store_in(home).client.create_experiment("big", artifact_location=far)
    run_id = add_run(store_in(home, "big"), "on the big disk")
    moved = home.rename(tmp_path / "moved")
    assert read(store_in(moved, "big"), run_id) == "on the big disk"
    assert (tmp_path / "big disk" / "x" / run_id).is_dir()


def test_a_database_moved_without_its_artifacts(
    original: tuple[Path, str], home: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    place = tmp_path / "alone"
    place.mkdir()
    (home / "mlflow.db").rename(place / "mlflow.db")
    store = store_in(place)
    assert f"the artifacts of 1 runs (such as {original[1]})" in caplog.text
    with pytest.raises(UserError, match=rf"no artifact 'inner/a b\.txt'.*copy {home}/artifacts/{EXPERIMENT}/\w+ to"):
        read(store, original[1])
    shutil.copytree(home / "artifacts", place / "artifacts")
    assert read(store, original[1]) == "of the original"


def test_a_lost_artifact_is_told_from_one_that_never_was(original: tuple[Path, str], home: Path) -> None:
    store = store_in(home)
    run_id = add_run(store, "soon gone")
    with pytest.raises(UserError, match=r"'model\.json'.* never had it"):
        store.artifact(run_id, "model.json")
    shutil.rmtree(home / "artifacts")
    with pytest.raises(UserError, match=r"'inner/a b\.txt'.* is lost"):
        read(store, run_id)
    with pytest.raises(
        UserError, match=rf"'inner/a b\.txt'.* copy {original[0]}/artifacts/{EXPERIMENT}/{original[1]} to"
    ):
        read(store, original[1])


def test_a_moved_store_that_cannot_be_written_is_read(
    original: tuple[Path, str], home: Path, tmp_path: Path, read_only: Callable[[Path], None]
) -> None:
    place, run_id = home.rename(tmp_path / "moved"), original[1]
    before = content_of(place)
    read_only(place)
    store = store_in(place)
    assert read(store, run_id) == "of the original"
    assert store.missing(store.runs()[0]) == []
    with pytest.raises(UserError, match="read-only file system") as error, store.run("x", {}):
        pass
    assert "paths.tracking=FOLDER" in str(error.value)
    with pytest.raises(UserError, match="read-only file system"):
        store_in(place, "an experiment that is not there")
    assert content_of(place) == before


@pytest.mark.parametrize(
    ("version", "match"),
    [("c48cb773bb87", "older MLflow.*mlflow db upgrade"), ("ffffffffffff", "newer MLflow.*paths.tracking=FOLDER")],
)
def test_a_database_of_another_mlflow_is_told_and_left_as_it_is(home: Path, version: str, match: str) -> None:
    changed(home, f"UPDATE alembic_version SET version_num = '{version}';")  # noqa: S608  # our own
    before = content_of(home)
    with pytest.raises(UserError, match=match):
        store_in(home)
    assert content_of(home) == before


def test_a_database_of_an_older_mlflow_that_lacks_tables_is_left_as_it_is(home: Path) -> None:
    # MLflow itself would convert it at once
    changed(home, "UPDATE alembic_version SET version_num = 'c48cb773bb87'; DROP TABLE webhook_events;")
    before = content_of(home)
    with pytest.raises(UserError, match="older MLflow"):
        store_in(home)
    assert content_of(home) == before


def test_another_programs_database_is_left_as_it_is(tmp_path: Path) -> None:
    changed(tmp_path, "CREATE TABLE mine (value INTEGER); INSERT INTO mine VALUES (1);")
    before = (tmp_path / "mlflow.db").read_bytes()
    with pytest.raises(UserError, match=r"another program's, give tracking\.uri"):
        store_in(tmp_path)
    assert (tmp_path / "mlflow.db").read_bytes() == before


def test_a_database_that_another_program_keeps(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "PATIENCE", 0.2)
    with closing(sqlite3.connect(home / "mlflow.db")) as held:
        held.execute("BEGIN EXCLUSIVE")
        with pytest.raises(UserError, match="locked"):
            store_in(home)
        held.rollback()
    assert len(store_in(home).runs()) == 1


def test_a_full_disk(original: tuple[Path, str], small_disk: Any) -> None:
    place = small_disk("disk", 8) / "mlruns"
    shutil.copytree(original[0], place)
    store = store_in(place)
    ballast = place / "ballast"
    with ballast.open("wb") as file, pytest.raises(OSError, match="No space"):
        while True:
            file.write(bytes(1 << 16))
            file.flush()
    with pytest.raises(UserError, match="disk is full"):
        add_run(store, "x" * (1 << 20))
    assert read(store_in(place), original[1]) == "of the original"
    ballast.unlink()
    run_id = add_run(store_in(place), "again")
    assert read(store_in(place), run_id) == "again"


def test_a_damaged_page(home: Path) -> None:
    with (home / "mlflow.db").open("r+b") as file:
        size = file.seek(0, 2)
        file.seek(4096)
        file.write(b"\xff" * (size - 4096))
    with pytest.raises(UserError, match="damaged"):
        store_in(home)


def test_an_empty_file_becomes_a_database(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").touch()
    assert store_in(tmp_path).runs() == []


def test_another_users_store_is_read_and_not_written(
    original: tuple[Path, str], home: Path, ordinary_user: Callable[[Path], AbstractContextManager[None]]
) -> None:
    before, run_id = content_of(home), original[1]
    with ordinary_user(home):
        store = store_in(home)
        assert read(store, run_id) == "of the original"
        with pytest.raises(UserError, match=r"mlflow\.db: permission denied") as error, store.run("x", {}):
            pass
        assert "Change the permissions" in str(error.value)
    assert content_of(home) == before
    for closed in ("mlflow.db", f"artifacts/{EXPERIMENT}/{run_id}/artifacts/inner/a b.txt"):
        (home / closed).chmod(0o600)
        with ordinary_user(home), pytest.raises(UserError, match=r"permission denied"):
            read(store_in(home), run_id)
        (home / closed).chmod(0o644)
    home.chmod(0o700)
    with ordinary_user(home.parent), pytest.raises(UserError, match=r"permission denied"):
        store_in(home)
