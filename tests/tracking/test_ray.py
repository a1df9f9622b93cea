"""Sweeps on a real Ray cluster of two workers on this machine, in the environment that `.venv/ray` is."""

import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from needs import RAY

TWO_WORKERS = (
    "hydra/launcher=ray",
    "+hydra.launcher.ray.init.num_cpus=2",
    "+hydra.launcher.ray.init.include_dashboard=false",
)

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ray_python() -> Path:
    """The interpreter that has Ray and its launcher."""
    assert RAY.exists(), f"{RAY}: not there; docs/sweeps.md says how to make the environment for Ray"
    return RAY


@pytest.fixture
def folder(tmp_path: Path, write_clips: Callable[..., Any]) -> Path:
    write_clips(tmp_path / "clips", ["a", "b"], 12)
    return tmp_path


def begin(python: Path, words: Any, folder: Path, environment: dict[str, str]) -> "subprocess.Popen[str]":
    out = (folder / "said.txt").open("w")
    command = [str(python), "-m", "src.train", "-m", *words]
    with out:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out, text=True)


def test_two_workers_share_a_sweep(
    ray_python: Path, shelf: Any, small: Any, folder: Path, environment: dict[str, str], kennel: Any
) -> None:
    words = [word for word in small if word != "workers=2"]
    with begin(ray_python, [*words, *TWO_WORKERS, "seed=range(6)"], folder, environment) as process:
        assert process.wait(timeout=500) == 0, (folder / "said.txt").read_text()
    assert "6 of 6 jobs finished" in (folder / "said.txt").read_text()
    runs = shelf(folder).runs()
    assert len({run.tags["pid"] for run in runs}) == 2
    assert {run.params["workers"] for run in runs} == {"1"}
    assert 1 <= sum("seconds/decode" in run.metrics for run in runs) <= 2, "they share the clips"
    calm = folder / "calm"
    calm.mkdir()
    shutil.copytree(folder / "clips", calm / "clips")
    assert kennel.run(["-m", *small, "seed=range(6)"], calm).wait() == 0
    assert shelf(folder).results() == shelf(calm).results()


def test_a_worker_killed_costs_the_job_in_its_hand_and_no_more(
    ray_python: Path, shelf: Any, small: Any, folder: Path, environment: dict[str, str]
) -> None:
    words = [*small, "trainer.max_steps=20000", "trainer.validate_every=5000", "seed=range(4)"]
    killed = 0
    with begin(ray_python, [*words, *TWO_WORKERS], folder, environment) as process:
        end = time.monotonic() + 500
        while process.poll() is None:
            assert time.monotonic() < end, (folder / "said.txt").read_text()
            running = []
            if (folder / "mlruns" / "mlflow.db").exists():
                running = [run for run in shelf(folder).runs() if run.status == "RUNNING" and "pid" in run.tags]
            if running and killed < 3:
                os.kill(int(running[0].tags["pid"]), signal.SIGKILL)
                killed += 1
                time.sleep(5)
            time.sleep(0.2)
        assert process.returncode == 0, (folder / "said.txt").read_text()
    assert shelf(folder).statuses() == {"FINISHED": 4, "KILLED": killed}
    assert killed == 3
    assert len(shelf(folder).results()) == 4
