"""`python -m src.sweep`, and sweeps side by side, as a person starts them."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from src.features.cache import listing


@pytest.fixture
def folder(tmp_path: Path, write_clips: Callable[..., Any]) -> Path:
    write_clips(tmp_path / "clips", ["a", "b"], 12)
    return tmp_path


def states(process: Any) -> dict[str, tuple[str, str]]:
    """State and what is told of it, by settings, from the table that status prints."""
    assert process.wait() == 0, process.said()
    lines = process.said().splitlines()
    [rule] = [i for i, line in enumerate(lines) if line.startswith("---")]
    widths = [len(part) for part in lines[rule].split("  ")]
    starts = [sum(widths[:i]) + 2 * i for i in range(len(widths))]
    found = {}
    for line in lines[rule + 1 :]:
        if not line:
            break
        cells = [line[start : start + width].strip() for start, width in zip(starts, widths, strict=True)]
        found[cells[1]] = (cells[2], cells[3])
    return found


OWN_SWEEP = """# @package _global_
hydra:
  mode: MULTIRUN
  sweeper:
    params:
      preprocess: unprocessed,normalized
      seed: 0,1
"""


@pytest.mark.parametrize(
    ("words", "jobs"),
    [
        (["experiment=mine"], 4),
        (["-m", "experiment=mine", "seed=7"], 2),
        (["-m", "seed=0,1", "seed=2,3"], 2),
        (["-m", "seed=0,1", "hydra.sweep.subdir=nested/deep/${hydra.job.num}"], 2),
        (["-m", "seed=0,1", "hydra.sweep.subdir=one-for-all"], 2),
        (["-m", "seed=0,1", "hydra.sweep.dir=by/${seed}"], 2),
        (["-m", "seed=0,1", "paths.tracking=mlruns,elsewhere"], 4),
        (["-m", "seed=range(3)", "hydra.sweeper.max_batch_size=2"], 3),
    ],
    ids=lambda value: "" if isinstance(value, int) else value[-1],
)
def test_the_jobs_counted_are_those_that_hydra_starts(
    kennel: Any, small: Any, folder: Path, words: list[str], jobs: int
) -> None:
    (folder / "own" / "experiment").mkdir(parents=True)
    (folder / "own" / "experiment" / "mine.yaml").write_text(OWN_SWEEP)
    flags = [word for word in words if word == "-m"]
    process = kennel.run(
        [*flags, "--config-dir", "own", *small, *(word for word in words if word not in flags)], folder
    )
    assert process.wait() == 0, process.said()
    lines = process.said().splitlines()
    assert lines[0].startswith(f"{jobs} jobs, ")
    assert lines[-1] == f"{jobs} of {jobs} jobs finished"
    assert sum(line.startswith("[") and f"/{jobs}] " in line for line in lines) == jobs


def test_the_table_of_a_sweep_holds_no_job_of_an_earlier_one(kennel: Any, small: Any, folder: Path) -> None:
    where = "hydra.sweep.dir=always-here"
    process = kennel.run(["-m", *small, where, "seed=0,1"], folder)
    assert process.wait() == 0, process.said()
    process = kennel.run(["-m", *small, where, "seed=2"], folder)
    assert process.wait() == 0, process.said()
    assert "1 of 1 jobs finished" in process.said()
    assert "seed=0" not in process.said()


def test_the_network_is_decided_on_anew_for_each_sweep(kennel: Any, small: Any, folder: Path) -> None:
    where = "hydra.sweep.dir=always-here"
    auto = ["-m", *(word for word in small if not word.startswith("backbone")), "backbone=auto", where, "seed=0"]
    process = kennel.run([*auto, "dataset.root=nowhere"], folder)
    assert process.wait() == 1, "no such folder, but that the network is EfficientNet-Lite0 is decided"
    weights = folder / "weights" / "inception_v3.tf_in1k.safetensors"
    weights.parent.mkdir()
    weights.write_bytes(b"no weights")
    process = kennel.run(auto, folder)
    assert process.wait() == 1, "a network decided on for an earlier sweep was used"
    assert weights.name in process.said()


@pytest.mark.parametrize(
    "launcher", [[], ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2"]], ids=["basic", "joblib"]
)
def test_any_command_counts_its_jobs(kennel: Any, folder: Path, launcher: list[str]) -> None:
    process = kennel.run(["-m", *launcher, "action=list,dance"], folder, module="src.prepare.cache")
    assert process.wait() == 1, process.said()
    assert "1 of 2 jobs finished, 1 failed" in process.said()
    assert not (folder / "multirun").exists()


@pytest.mark.slow
def test_where_each_job_stands_and_what_is_left_is_run(kennel: Any, shelf: Any, small: Any, folder: Path) -> None:
    sweep = [*small, "head.learning_rate=0.01,3e38", "seed=0,1"]
    assert kennel.run(["-m", *small, "head.learning_rate=3e38", "seed=0"], folder).wait() == 1
    assert kennel.run([*small, "seed=0"], folder).wait() == 0
    held = kennel.start([*small, "seed=1"], folder)
    held.until(lambda: held.at() == "fit")
    held.signal(signal.SIGSTOP)
    found = states(kennel.run(sweep, folder, module="src.sweep"))
    assert found["head.learning_rate=0.01 seed=0"][0] == "done"
    assert found["head.learning_rate=0.01 seed=1"] == ("running", f"process {held.pid} on {os.uname().nodename}")
    assert found["head.learning_rate=3e+38 seed=0"][0] == "failed"
    assert "the loss was no longer finite" in found["head.learning_rate=3e+38 seed=0"][1]
    assert found["head.learning_rate=3e+38 seed=1"] == ("missing", "")
    held.kill()
    found = states(kennel.run(sweep, folder, module="src.sweep"))
    assert found["head.learning_rate=0.01 seed=1"][0] == "failed"
    assert found["head.learning_rate=0.01 seed=1"][1].endswith("is gone")

    retried = kennel.run(["action=retry", *sweep], folder, module="src.sweep")
    assert retried.wait() == 1, "a learning rate of 3e38 fails again"
    assert "2 of 4 jobs finished, 2 failed" in retried.said()
    assert shelf(folder).statuses() == {"FINISHED": 2, "FAILED": 3, "KILLED": 1}

    again = kennel.run(["action=retry", *small, "seed=0,1"], folder, module="src.sweep")
    assert again.said().splitlines() == ["2 jobs: 2 done"], "nothing is left to run"


def test_a_file_carries_a_sweep_to_another_store(kennel: Any, shelf: Any, small: Any, folder: Path) -> None:
    there = folder / "there"
    there.mkdir()
    shutil.copytree(folder / "clips", there / "clips")
    sweep = [*small, "seed=0,1"]
    assert kennel.run(["-m", *sweep], folder).wait() == 0
    exported = kennel.run(["action=export", "file=sweep.zip", *sweep, "seed=0,1,2"], folder, module="src.sweep")
    assert exported.said().splitlines() == ["3 jobs: 2 done, 1 missing", "2 runs in sweep.zip"]
    for told in ("2 runs from ../sweep.zip, 0 known before", "0 runs from ../sweep.zip, 2 known before"):
        imported = kennel.run(["action=import", "file=../sweep.zip"], there, module="src.sweep")
        assert imported.said().splitlines() == [told]
    assert shelf(there).results() == shelf(folder).results()
    # what was computed elsewhere is not computed again
    assert kennel.run(["-m", *sweep], there).said().count("known, accuracy") == 2
    assert shelf(there).statuses() == {"FINISHED": 2}


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["action=dance"], "action: got 'dance'; expected one of status, retry, sync, export, import"),
        (["action=export"], "action=export: say which file"),
        (["action=import", "file=none.zip"], "file=none.zip: not found"),
        (["action=sync"], "action=sync: say where to"),
        (["action=export", "file=x.zip"], "no job of this sweep is done (1 jobs: 1 missing)"),
    ],
)
def test_what_cannot_be_done_is_told(kennel: Any, small: Any, folder: Path, words: list[str], told: str) -> None:
    process = kennel.run([*words, *small], folder, module="src.sweep")
    assert process.wait() == 1
    assert told in process.said()
    assert "Traceback" not in process.said()


def test_two_launchers_of_one_sweep_do_each_job_once(kennel: Any, shelf: Any, small: Any, folder: Path) -> None:
    sweep = ["-m", *small, "seed=0,1,2"]
    both = [kennel.start(sweep, folder) for _ in range(2)]
    assert [process.wait() for process in both] == [0, 0], both[0].said() + both[1].said()
    assert shelf(folder).statuses() == {"FINISHED": 3}
    assert all("3 of 3 jobs finished" in process.said() for process in both)
    assert sum(process.said().count("known before") for process in both) == 3


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_marks_the_job_and_tells_what_is_done(
    kennel: Any, shelf: Any, small: Any, folder: Path, number: int, status: int
) -> None:
    process = kennel.start(["-m", *small, "seed=range(30)"], folder)
    process.until(lambda: "[2/30]" in process.said())
    process.until(lambda: process.at() == "fit")
    process.signal(number)
    assert process.wait() == status
    assert "interrupted" in process.said()
    assert "of 30 jobs finished" in process.said()
    counts = shelf(folder).statuses()
    assert counts.keys() <= {"FINISHED", "KILLED"}, process.said()
    assert counts.get("KILLED", 0) <= 1


def test_a_second_interrupt_leaves_at_once(kennel: Any, small: Any, folder: Path) -> None:
    holder = kennel.start([*small, "seed=0"], folder)
    holder.until(lambda: holder.at() == "fit")
    holder.signal(signal.SIGSTOP)
    # a summary that hangs: standard output is a pipe that nobody reads would do as well
    waiting = kennel.start([*small, "seed=0"], folder)
    waiting.until(lambda: "waiting for it" in waiting.said())
    waiting.signal(signal.SIGINT)
    waiting.signal(signal.SIGINT)
    assert waiting.wait() == 130
    holder.kill()


def test_joblib_divides_the_work_and_extracts_once(kennel: Any, shelf: Any, small: Any, folder: Path) -> None:
    words = [word for word in small if word != "workers=2"]
    launcher = ["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "hydra.sweep.dir=by/${seed}"]
    process = kennel.run(["-m", *words, *launcher, "seed=0,1,2"], folder)
    assert process.wait() == 0, process.said()
    assert "3 of 3 jobs finished" in process.said()
    runs = shelf(folder).runs()
    assert {run.params["workers"] for run in runs} == {str(max(1, (os.cpu_count() or 1) // 2))}
    # those that ran at the same time share the pieces, whoever comes later finds all of them
    assert 1 <= sum("seconds/decode" in run.metrics for run in runs) <= 2
    [kept] = listing(folder / "data/.cache/features")
    assert kept["clips"] == 24, "each clip is computed once"


@pytest.mark.slow
def test_a_joblib_process_that_is_killed_costs_the_jobs_in_hand(
    kennel: Any, shelf: Any, small: Any, folder: Path
) -> None:
    sweep = ["-m", *small, "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=range(6)"]
    process = kennel.start([*sweep, "trainer.max_steps=3000", "trainer.validate_every=1000"], folder)
    database = folder / "mlruns" / "mlflow.db"
    process.until(lambda: database.exists() and shelf(folder).statuses().get("FINISHED", 0) >= 1, seconds=170)
    process.until(lambda: "RUNNING" in shelf(folder).statuses())
    [*_, victim] = [run for run in shelf(folder).runs() if run.status == "RUNNING"]
    os.kill(int(victim.tags["pid"]), signal.SIGKILL)
    assert process.wait() == 1, process.said()
    assert "not begun" in process.said(), "the table is printed all the same"
    assert "ended before the job did" in process.said()
    again = kennel.run([*sweep, "trainer.max_steps=3000", "trainer.validate_every=1000"], folder)
    assert again.wait() == 0, again.said()
    assert shelf(folder).statuses()["FINISHED"] == 6
    assert len(shelf(folder).results()) == 6
    assert "RUNNING" not in shelf(folder).statuses()
