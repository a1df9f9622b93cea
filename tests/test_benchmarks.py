"""The benchmark's own arithmetic: what is a target met, what is an exponent, and that alternatives take turns."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile
import torch

from benchmarks import audio, bench, commands, measuring, scale
from benchmarks.eager import Eager
from benchmarks.measuring import Row
from src.backbone.network import build
from src.backbone.weights import RANDOM


@pytest.mark.parametrize(
    ("value", "sign", "target", "met"),
    [(3.0, ">=", 3, True), (2.99, ">=", 3, False), (0.5, "<=", 0.5, True), (0.51, "<=", 0.5, False), (7, "", 0, None)],
)
def test_a_target_is_met_or_missed(value, sign, target, met):
    row = Row("what", "1 s", "2 s", value, "x", sign, target)
    assert row.met is met
    assert row.cells[5] == {True: "met", False: "MISSED", None: ""}[met]


def test_alternatives_take_turns_and_the_warm_up_does_not_count():
    order = []
    found = measuring.in_turns([lambda: order.append("a"), lambda: order.append("b")], rounds=3, warm_up=2)
    assert order == ["a", "b"] * 5
    assert [len(times.wall) for times in found] == [len(times.cpu) for times in found] == [3, 3]


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_the_exponent_of_a_power_is_its_own(power):
    curve = {size: 0.3 * size**power for size in (100, 500, 2000, 5000)}
    assert scale.exponent(curve) == pytest.approx(power, abs=1e-9)  # float64 logarithms
    # a constant cost, which small sizes feel, is left out with them
    bent = {100: 5.0, **{size: float(size) for size in (1000, 2000, 5000)}}
    assert scale.exponent(bent, least=500) == pytest.approx(1, abs=1e-9)


def test_audio_is_rendered_once_and_always_the_same(tmp_path):
    folder = audio.render(tmp_path, 8, 0.5, 8000)
    assert [len(list((folder / kind).iterdir())) for kind in audio.CLASSES] == [2] * 4
    first, rate = soundfile.read(folder / "dark" / "00001.wav", dtype="float32")
    assert (rate, first.shape) == (8000, (4000,))
    # 16 bits: half a step of 2^-15 off at most
    again = audio.tune(np.random.default_rng(1), "dark", 0.5, 8000)
    np.testing.assert_allclose(first, again, atol=2**-15)
    stamp = (folder / "dark" / "00001.wav").stat().st_mtime_ns
    assert audio.render(tmp_path, 8, 0.5, 8000) == folder
    assert (folder / "dark" / "00001.wav").stat().st_mtime_ns == stamp


def test_the_page_says_how_many_targets_are_met():
    rows = [Row("a", "1 s", "2 s", 2, "x", ">=", 1), Row("b", "", "", 2, "s", "<=", 1), Row("c", "", "", 0.98)]
    page = bench.report(rows, [("decode", "1", "2")], {"kernel": 203.4}, {"processor": "one"})
    assert "1 of 2 targets met" in page
    assert "| kernel | 203" in page
    assert page.count("MISSED") == 1


def test_memory_is_that_of_all_processes_together():
    large = "held = b'x' * 300_000_000; import time; time.sleep(1)"
    two = f"import subprocess, sys; of = [subprocess.Popen([sys.executable, '-c', {large!r}]) for _ in range(2)]"
    with subprocess.Popen([sys.executable, "-c", f"{two}; [each.wait() for each in of]"]) as run:
        with commands.Watch(run.pid) as watch:
            run.wait()
        assert 0.5 < watch.most < 0.8  # one of the two alone holds 0.3


def test_a_watched_command_counts_what_is_seen(monkeypatch):
    monkeypatch.setattr(commands, "proportional", lambda _: 1000.0)
    assert commands.run("-c", "import time; time.sleep(0.5)", watched=True).memory >= 1000
    assert commands.run("-c", "import time; time.sleep(0.5)").memory < 1000


def test_a_command_that_fails_is_told_with_what_it_wrote():
    done = commands.run("-c", "print('well')")
    assert done.output == "well\n"
    assert done.memory > 0.001  # GB: an interpreter
    with pytest.raises(SystemExit, match=r"(?s)gone wrong.*ended with status 3"):
        commands.run("-c", "import sys; print('gone wrong'); sys.exit(3)")


def test_eager_in_its_own_process_computes_the_same_network():
    pictures = list(np.random.default_rng(0).random((3, 3, 64, 64), np.float32))
    network = build("test_efficientnet", RANDOM, 0, None)
    with torch.inference_mode():
        expected = network.module(torch.from_numpy(np.stack(pictures))).numpy()
    for kind in ({}, {"batch": 2, "keeps_memory": True, "channels_last": True}):
        with Eager("test_efficientnet", RANDOM, pictures, threads=1, **kind) as process:
            process.run()
            # sums in another order: float32's rounding, relative 1e-7, over a few thousand terms
            np.testing.assert_allclose(process.features(), expected, rtol=1e-3, atol=1e-4)


def test_eager_that_cannot_begin_ends_the_benchmark(capfd):
    with pytest.raises(SystemExit, match=r"benchmarks\.eager ended with status 1"):
        Eager("no_such_network", RANDOM, [np.zeros((3, 8, 8), np.float32)], threads=1)
    assert "no_such_network" in capfd.readouterr().err
