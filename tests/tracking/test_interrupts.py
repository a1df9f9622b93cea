"""SIGINT and SIGTERM at random moments of a sweep: the exit status says so, no traceback is shown, nothing is lost."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from running import command
from running import environment as clean_environment

STAGES = ("extraction", "fit", "logging")
STATUS = {signal.SIGINT: 130, signal.SIGTERM: 143}


def _places(folder: Path) -> tuple[Path, Path]:
    """Two folders with the clips: for a sweep that is left alone, and for one that is not."""
    calm, rough = folder / "calm", folder / "rough"
    for place in (calm, rough):
        place.mkdir()
        shutil.copytree(folder / "clips", place / "clips")
    return calm, rough


def _check(shelf: Any, calm: Path, rough: Path, jobs: int) -> None:
    """Both folders hold the same results, and the rough one nothing but finished and killed runs."""
    assert shelf(rough).results() == shelf(calm).results()
    statuses = shelf(rough).statuses()
    assert statuses.keys() <= {"FINISHED", "KILLED"}
    assert statuses["FINISHED"] == jobs
    for run in shelf(rough).runs():
        if run.status == "KILLED":
            assert any(word in run.tags["reason"] for word in ("SIGINT", "SIGTERM", "is gone")), run.tags["reason"]


def _interrupt_once(process: Any, stage: str, rng: random.Random) -> str:
    """Interrupt a process at a stage or soon after; what it was at."""
    process.until(lambda: process.at() == stage or not process.runs(), seconds=120)
    # a stage of these jobs lasts some 20 to 150 ms, and it may be over by the time of the signal
    time.sleep(rng.expovariate(1 / 0.02))
    moment, number = process.at(), rng.choice(list(STATUS))
    process.signal(number)
    assert process.wait() == STATUS[number], process.said()
    assert "interrupted" in process.said()
    assert "Traceback" not in process.said()
    return str(moment)


def _interrupted(
    kennel: Any, shelf: Any, sweep: Sequence[str], folder: Path, *, jobs: int, count: int, seed: int
) -> Counter[str]:
    """Interrupt a sweep `count` times, let it end, compare it with one left alone; interrupts by stage."""
    calm, rough = _places(folder)
    assert kennel.run(sweep, calm).wait() == 0
    rng = random.Random(seed)
    moments: Counter[str] = Counter()
    while moments.total() < count:
        process = kennel.start(sweep, rough)
        rarest = min(STAGES, key=lambda stage: moments[stage])
        moments[_interrupt_once(process, rarest, rng)] += 1
    last = kennel.run(sweep, rough)
    assert last.wait() == 0, last.said()
    assert f"{jobs} of {jobs} jobs finished" in last.said()
    _check(shelf, calm, rough, jobs)
    return moments


@pytest.mark.slow
def test_a_sweep_interrupted_again_and_again_ends_like_one_left_alone(
    kennel: Any, shelf: Any, small: tuple[str, ...], write_clips: Callable[..., Any], tmp_path: Path
) -> None:
    write_clips(tmp_path / "clips", ["a", "b"], 24)
    sweep = ["-m", *small, "backbone.rows=2,3,4", "seed=0,1"]
    moments = _interrupted(kennel, shelf, sweep, tmp_path, jobs=6, count=4, seed=1)
    assert len(moments) > 1, "every interrupt came at the same stage"


@pytest.mark.slow
def test_a_hundred_interrupts(
    kennel: Any, shelf: Any, small: tuple[str, ...], write_clips: Callable[..., Any], tmp_path: Path
) -> None:
    write_clips(tmp_path / "clips", ["a", "b"], 60)  # enough for worker processes
    sweep = ["-m", *small, "backbone.rows=range(2,12)", "seed=range(10)"]
    moments = _interrupted(kennel, shelf, sweep, tmp_path, jobs=100, count=100, seed=2)
    assert min(moments[stage] for stage in STAGES) >= 10, moments


class Terminal:
    """A command in a process group of its own, all of which a terminal's Ctrl-C reaches."""

    def __init__(self, words: Sequence[str], folder: Path) -> None:
        self._out = folder / "said.txt"
        with self._out.open("w") as out:
            self.process = subprocess.Popen(
                command(words), cwd=folder, env=clean_environment(), stdout=out, stderr=out, start_new_session=True
            )

    def said(self) -> str:
        return self._out.read_text()

    def until(self, text: str) -> None:
        while text not in self.said() and self.process.poll() is None:
            time.sleep(0.01)

    def interrupt(self, number: signal.Signals) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)

    def wait(self) -> int:
        return self.process.wait(timeout=300)


def test_ctrl_c_reaches_worker_processes_too(
    shelf: Any, small: tuple[str, ...], write_clips: Callable[..., Any], tmp_path: Path
) -> None:
    write_clips(tmp_path / "clips", ["a", "b"], 200, seconds=1.0, rate=22050)
    slow = [word for word in small if not word.startswith("spectrogram")]
    terminal = Terminal([*slow, "spectrogram=mel", "preprocess=augmented"], tmp_path)
    features = tmp_path / "data" / ".cache" / "features"
    while not list(features.glob("*/*.safetensors")) and terminal.process.poll() is None:
        time.sleep(0.01)
    terminal.interrupt(signal.SIGINT)
    assert terminal.wait() == 130, terminal.said()
    assert "Traceback" not in terminal.said()
    assert shelf(tmp_path).statuses() == {"KILLED": 1}
    from src.features.cache import listing

    assert 0 < sum(entry["clips"] for entry in listing(features)) < 400


@pytest.mark.slow
def test_interrupts_of_a_sweep_with_a_network_by_openvino(
    shelf: Any, small: tuple[str, ...], write_clips: Callable[..., Any], tmp_path: Path
) -> None:
    write_clips(tmp_path / "clips", ["a", "b"], 60)
    settings = [word for word in small if not word.startswith(("backbone", "spectrogram"))]
    sizes = "backbone.size=32,64,96"
    sweep = ["-m", *settings, "backbone=efficientnet_lite0", "backbone.engine=openvino", sizes, "seed=0,1"]
    calm, rough = _places(tmp_path)
    begun = time.monotonic()
    alone = Terminal(sweep, calm)
    assert alone.wait() == 0, alone.said()
    lasted = time.monotonic() - begun
    rng = random.Random(3)
    for _ in range(40):
        terminal = Terminal(sweep, rough)
        terminal.until("6 jobs")
        time.sleep(rng.uniform(0, lasted / 2))
        number = rng.choice(list(STATUS))
        terminal.interrupt(number)
        status = terminal.wait()
        if status == 0 and "6 of 6 jobs finished" in terminal.said():
            shutil.rmtree(rough / "mlruns")
            shutil.rmtree(rough / "data")
            continue
        assert status == STATUS[number], terminal.said()
        assert "Traceback" not in terminal.said()
    last = Terminal(sweep, rough)
    assert last.wait() == 0, last.said()
    _check(shelf, calm, rough, 6)
