"""A project that was moved, copied, or put on a disk that cannot be written, as a person finds it with the commands."""

import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def original(
    tmp_path_factory: pytest.TempPathFactory, write_clips: Callable[..., Any], kennel: Any, small: Any
) -> Path:
    """A folder with clips and two finished runs of them."""
    folder = tmp_path_factory.mktemp("original")
    write_clips(folder / "clips", ["a", "b"], 12)
    assert kennel.run(["-m", *small, "seed=0,1"], folder).wait() == 0
    return folder


@pytest.fixture
def project(original: Path, tmp_path: Path) -> Path:
    """A copy of it."""
    return Path(shutil.copytree(original, tmp_path / "project"))


def content_of(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def said(process: Any) -> str:
    assert process.wait() == 0, process.said()
    return str(process.said())


def test_a_moved_project_goes_on_and_its_copy_leaves_it_alone(
    kennel: Any, shelf: Any, small: Any, project: Path, tmp_path: Path
) -> None:
    moved = project.rename(tmp_path / "Töne 50% (2024)")
    assert said(kennel.run(["-m", *small, "seed=0,1"], moved)).count("known, accuracy") == 2
    predicted = kennel.run(["run=best", "audio=clips/a/00.wav", "output=csv", "workers=1"], moved, module="src.predict")
    assert "clips/a/00.wav,file" in said(predicted)
    reported = said(kennel.run(["name=compare", *small, "seed=0,1"], moved, module="src.report"))
    assert "no artifact" not in reported
    gallery = ["run=best", "out=page.html", "media.sounds=none", "workers=1", "progress=false"]
    assert "2 seeds" in said(kennel.run(gallery, moved, module="src.gallery"))
    exported = kennel.run(["action=export", "file=sweep.zip", *small, "seed=0,1"], moved, module="src.sweep")
    assert "2 runs in sweep.zip" in said(exported)

    before = content_of(moved)
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-a", str(moved), str(copy)], check=True)
    assert said(kennel.run(["-m", *small, "seed=0,1,2"], copy)).count("known, accuracy") == 2
    assert content_of(moved) == before
    assert shelf(copy).statuses() == {"FINISHED": 3}
    assert len(shelf(copy).results()) == 3


def test_processes_that_open_a_moved_store_at_once(kennel: Any, shelf: Any, project: Path, tmp_path: Path) -> None:
    moved = project.rename(tmp_path / "moved")
    home = moved / "mlruns"
    processes = [kennel.start([str(home), str(10 * n), "2"], moved, module="many") for n in range(6)]
    assert [process.wait() for process in processes] == [0] * 6, "".join(process.said() for process in processes)
    with closing(sqlite3.connect(home / "mlflow.db")) as database:
        addresses = [row[0] for row in database.execute("SELECT artifact_uri FROM runs")]
        homes = database.execute("SELECT address FROM earsight_homes").fetchall()
    assert len(addresses) == 14
    assert all(address.startswith(home.as_uri()) for address in addresses)
    assert len(homes) == 2, "rewritten once"
    assert not project.exists()


def test_known_runs_whose_artifacts_are_lost_are_named(kennel: Any, small: Any, original: Path, project: Path) -> None:
    shutil.rmtree(project / "mlruns" / "artifacts")
    again = kennel.run([*small, "seed=0"], project)
    assert again.wait() == 0, again.said()
    assert "predictions.csv is missing" in again.said()
    exported = kennel.run(["action=export", "file=x.zip", *small, "seed=0"], project, module="src.sweep")
    assert exported.wait() == 1
    assert "predictions.csv is missing" in exported.said()
    assert not (project / "x.zip").exists()
    predicted = kennel.run(["run=best", "audio=clips/a/00.wav"], project, module="src.predict")
    assert predicted.wait() == 1
    assert f"copy {original}/mlruns/artifacts/earsight" in predicted.said()
    assert "older code" not in predicted.said()
    assert "Traceback" not in exported.said() + predicted.said()


def test_runs_on_a_disk_that_cannot_be_written(kennel: Any, small: Any, project: Path, read_only: Any) -> None:
    before = content_of(project / "mlruns")
    read_only(project / "mlruns")
    assert "clips/a/00.wav" in said(
        kennel.run(["run=best", "audio=clips/a/00.wav", "workers=1"], project, module="src.predict")
    )
    reported = kennel.run(["name=compare", *small, "seed=0,1"], project, module="src.report")
    assert "no artifact" not in said(reported)
    refused = kennel.run([*small, "seed=2"], project)
    assert refused.wait() == 1
    assert "read-only file system" in refused.said()
    assert "Traceback" not in refused.said()
    assert content_of(project / "mlruns") == before


def test_mlflows_pages_show_the_artifacts_of_a_moved_store(
    project: Path, tmp_path: Path, environment: dict[str, str], nobody: str
) -> None:
    moved, port = project.rename(tmp_path / "moved"), int(nobody.rpartition(":")[2])
    [*_, file] = sorted((moved / "mlruns" / "artifacts").rglob("predictions.csv"))
    run_id = file.parent.parent.name
    words = [sys.executable, "-m", "src.sweep.ui", f"port={port}"]
    with (tmp_path / "said").open("w") as said_by_it, subprocess.Popen(
        words, cwd=moved, env=environment, stdout=said_by_it, stderr=subprocess.STDOUT, start_new_session=True
    ) as pages:  # fmt: skip
        try:
            end = time.monotonic() + 170
            while requests_to(port, "health") is None:
                assert pages.poll() is None and time.monotonic() < end, (tmp_path / "said").read_text()
                time.sleep(0.2)
            found = requests_to(port, f"get-artifact?path=predictions.csv&run_uuid={run_id}")
            assert found == file.read_bytes()
        finally:
            os.killpg(pages.pid, signal.SIGTERM)  # as Ctrl-C on a terminal: its workers as well
            pages.wait(timeout=60)


def requests_to(port: int, address: str) -> bytes | None:
    """What a server on this machine answers; None: nobody listens yet."""
    import requests

    try:
        answer = requests.get(f"http://127.0.0.1:{port}/{address}", timeout=60)
    except requests.ConnectionError:
        return None
    answer.raise_for_status()
    return answer.content


PASSWORD = "hunter2"  # noqa: S105  # of no server


@pytest.mark.parametrize("how", ["typed", "exported"])
def test_a_password_is_in_nothing_that_a_sweep_writes_or_says(
    kennel: Any, small: Any, project: Path, nobody: str, how: str
) -> None:
    uri = nobody.replace("http://", f"http://user:{PASSWORD}@")
    words, environment = (["tracking.uri=" + uri], {}) if how == "typed" else ([], {"EARSIGHT_TRACKING_URI": uri})
    sweep = [*small, *words, "seed=0,2"]
    swept = kennel.run(["-m", *sweep], project, environment=environment)
    assert swept.wait() == 0, swept.said()
    processes = [swept]
    for action in ("status", "sync", "export", "retry"):
        order = [f"action={action}", "file=sweep.zip", *sweep]
        processes.append(kennel.run(order, project, module="src.sweep", environment=environment))
        processes[-1].wait()
    processes.append(kennel.run([*small, *words, "head.learning_rate=3e38"], project, environment=environment))
    assert processes[-1].wait() == 1
    assert "user:***@" in swept.said()
    with closing(sqlite3.connect(project / "mlruns" / "mlflow.db")) as database:
        masked = {row[0] for row in database.execute("SELECT value FROM params WHERE key = 'tracking.uri'")}
    assert masked == {"None", uri.replace(PASSWORD, "***")}
    shutil.unpack_archive(project / "sweep.zip", project / "unpacked")
    files = [path for path in project.rglob("*") if path.is_file()]
    assert any(path.name == "overrides.yaml" for path in files)
    assert any(path.name == "multirun.yaml" for path in files)
    for path in files:
        assert PASSWORD.encode() not in path.read_bytes(), path
    assert json.loads((project / "unpacked" / "sweep.json").read_bytes())["runs"]


def test_a_password_in_a_configuration_file_is_refused_before_it_is_copied(
    kennel: Any, small: Any, project: Path, nobody: str
) -> None:
    uri = nobody.replace("http://", f"http://user:{PASSWORD}@")
    (project / "own").mkdir()
    (project / "own" / "mine.yaml").write_text(
        f"# @package _global_\ndefaults:\n  - /config\ntracking:\n  uri: {uri}\n"
    )
    for mode in ([], ["-m"]):
        refused = kennel.run([*mode, "--config-dir=own", "--config-name=mine", *small, "seed=5"], project)
        assert refused.wait() == 1
        assert "EARSIGHT_TRACKING_URI" in refused.said()
        assert PASSWORD not in refused.said()
    for path in (path for path in (project / "mlruns").rglob("*") if path.is_file()):
        assert PASSWORD.encode() not in path.read_bytes(), path


def test_a_password_elsewhere_on_the_command_line_is_refused(kennel: Any, small: Any, project: Path) -> None:
    before = content_of(project / "mlruns")
    refused = kennel.run([*small, f"tracking={{uri: http://user:{PASSWORD}@h}}", "seed=5"], project)
    assert refused.wait() == 2
    assert PASSWORD not in refused.said()
    assert content_of(project / "mlruns") == before


@pytest.mark.parametrize("uri", [f"postgresql://user:{PASSWORD}@127.0.0.1:9/x", f"mysql+pymysql://u:{PASSWORD}@h/x"])
def test_a_database_instead_of_a_server_is_refused_at_once(kennel: Any, small: Any, project: Path, uri: str) -> None:
    before = content_of(project / "mlruns" / "artifacts")
    refused = kennel.start([*small, f"tracking.uri={uri}", "seed=5"], project)
    started = time.monotonic()
    assert refused.wait() == 1
    assert time.monotonic() - started < 60
    assert "mlflow server --backend-store-uri" in refused.said()
    assert PASSWORD not in refused.said()
    assert "Traceback" not in refused.said()
    assert content_of(project / "mlruns" / "artifacts") == before
