"""SIGKILL at random moments of a sweep: nothing is lost, nothing doubled, every number the same."""

import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

STAGES = ("extraction", "fit", "logging")


def _sweep(small: tuple[str, ...], feature_sets: int, seeds: int) -> list[str]:
    return ["-m", *small, f"backbone.rows=range(2,{2 + feature_sets})", f"seed=range({seeds})"]


def _kill_once(process: Any, stage: str, rng: random.Random) -> str:
    """Kill at a stage, or at any moment from the start on; what it was at."""
    if stage:
        process.until(lambda: process.at() == stage or not process.runs(), seconds=120)
        # a stage of these jobs lasts some 20 to 150 ms, and it may be over by the time of the kill
        time.sleep(rng.expovariate(1 / 0.02))
    else:
        time.sleep(rng.uniform(0.1, 1.5))
    return str(process.kill())


def _survives(
    kennel: Any,
    shelf: Any,
    small: tuple[str, ...],
    folder: Path,
    *,
    feature_sets: int,
    seeds: int,
    kills: int,
    seed: int,
) -> Counter[str]:
    """Kill a sweep so many times, let it end, compare it with an undisturbed one; kills by what was going on."""
    sweep, jobs = _sweep(small, feature_sets, seeds), feature_sets * seeds
    calm, rough = folder / "calm", folder / "rough"
    for place in (calm, rough):
        place.mkdir()
        shutil.copytree(folder / "clips", place / "clips")
    assert kennel.run(sweep, calm).wait() == 0
    rng = random.Random(seed)
    moments: Counter[str] = Counter()
    while moments.total() < kills:
        process = kennel.start(sweep, rough)
        rarest = min(STAGES, key=lambda stage: moments[stage])
        moment = _kill_once(process, "" if moments.total() % 4 == 0 else rarest, rng)
        assert process.wait() == -signal.SIGKILL, f"ended after {moments.total()} kills of {kills}: {process.said()}"
        moments[moment] += 1
    last = kennel.run(sweep, rough)
    assert last.wait() == 0, last.said()
    assert f"{jobs} of {jobs} jobs finished" in last.said()
    assert shelf(rough).results() == shelf(calm).results()
    assert shelf(rough).statuses().keys() <= {"FINISHED", "KILLED"}
    assert shelf(rough).statuses()["FINISHED"] == jobs
    killed = [run for run in shelf(rough).runs() if run.status == "KILLED"]
    assert all("is gone" in run.tags["reason"] for run in killed)
    return moments


def test_a_sweep_killed_again_and_again_ends_like_one_left_alone(
    kennel: Any, shelf: Any, small: tuple[str, ...], write_clips: Callable[..., Any], tmp_path: Path
) -> None:
    write_clips(tmp_path / "clips", ["a", "b"], 24)
    moments = _survives(kennel, shelf, small, tmp_path, feature_sets=3, seeds=2, kills=6, seed=1)
    assert len(moments) > 1, "every kill came at the same stage"


@pytest.mark.slow
def test_sixty_kills(
    kennel: Any, shelf: Any, small: tuple[str, ...], write_clips: Callable[..., Any], tmp_path: Path
) -> None:
    write_clips(tmp_path / "clips", ["a", "b"], 48)
    moments = _survives(kennel, shelf, small, tmp_path, feature_sets=8, seeds=8, kills=60, seed=2)
    assert min(moments[stage] for stage in STAGES) >= 5, moments
