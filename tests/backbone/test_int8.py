"""A network in 8 bits: near float32 where it was calibrated for it, the same bits everywhere, and quiet about it."""

import hashlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from src.backbone import openvino_engine
from src.backbone.calibration import Calibration
from src.backbone.frozen import FrozenNetwork
from src.backbone.openvino_int8 import adds_exactly, quantised
from src.backbone.vision import Vision
from src.errors import UserError

Settings = Callable[..., Vision]
ROOT = Path(__file__).parents[2]
MODEL = "test_efficientnet"


def made_up(seed: int, level: float = 1.0) -> list[np.ndarray]:
    """Eight pictures of 120 bands x 300 frames: notes with harmonics that decay, over noise."""
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(8):
        picture = rng.normal(30, 8, (120, 300))
        for onset in rng.integers(0, 280, 12):
            decay = 180 * np.exp(-np.arange(300 - onset) / rng.uniform(5, 80))
            for harmonic in range(1, 6):
                row = int(rng.integers(60, 119) - 12 * np.log2(harmonic))
                picture[row, onset:] += decay / harmonic
        pictures.append((level * picture).clip(0, 255).astype(np.uint8))
    return pictures


def calibration(pictures: Any = None) -> Calibration:
    return Calibration("8 pictures", "", lambda: made_up(1) if pictures is None else pictures)


def features(network: FrozenNetwork, pictures: list[np.ndarray]) -> np.ndarray:
    return network.embed([network.prepare(each) for each in pictures])


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.fixture(scope="module")
def network(settings: Settings) -> FrozenNetwork:
    return settings(model=MODEL, engine="auto", device="auto", precision="int8").load(None, 2, calibration())


def test_it_is_asked_for_and_declared(network: FrozenNetwork, settings: Settings) -> None:
    plain = settings(model=MODEL, engine="openvino").load().identity
    assert plain["precision"] == "float32"
    assert network.identity == {
        **plain, "precision": "int8", "quantiser": network.identity["quantiser"], "calibration": "8 pictures",
    }  # fmt: skip
    assert str(network.identity["quantiser"]).startswith("nncf ")
    assert json.loads(json.dumps(network.identity)) == network.identity
    assert network.batch_size == 1


def test_features_are_near_float32s_where_it_met_such_pictures_and_far_where_not(
    network: FrozenNetwork, settings: Settings
) -> None:
    asked = made_up(2)
    exact = features(settings(model=MODEL, engine="openvino").load(workers=1), asked)
    found = features(network, asked)
    # 255 steps over a layer's range: about 1 % of noise a layer, of which this network has some twenty
    assert cosines(found, exact).min() > 0.95
    assert not np.allclose(found, exact, rtol=1e-3)
    black = [np.zeros((120, 300), np.uint8)] * 8
    wrong = settings(model=MODEL, engine="openvino", precision="int8").load(None, 1, calibration(black))
    assert cosines(features(wrong, asked), exact).max() < cosines(found, exact).min()


def test_a_clip_has_the_same_bits_in_any_batch_and_thread(network: FrozenNetwork) -> None:
    asked = made_up(2)
    together = features(network, asked)
    alone = np.concatenate([features(network, [each]) for each in asked])
    assert np.array_equal(together, alone)
    assert np.array_equal(together, features(network, asked[::-1])[::-1])
    with ThreadPoolExecutor(5) as pool:  # more threads than workers
        threads = np.concatenate(list(pool.map(lambda each: features(network, [each]), asked * 4)))
    assert np.array_equal(threads, np.tile(together, (4, 1)))


def test_another_process_on_one_core_gives_the_same_bits_and_nothing_reports_or_writes(network: FrozenNetwork) -> None:
    program = """
import hashlib, logging, os, sys, warnings
warnings.simplefilter("error")
os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
import torch
torch.set_num_threads(1)
from tests.backbone.conftest import make_settings
from tests.backbone.test_int8 import MODEL, calibration, features, made_up
network = make_settings(model=MODEL, engine="openvino", precision="int8").load(None, 1, calibration())
row = features(network, made_up(2)[:3])
sys.stdout.write(hashlib.sha256(row.tobytes()).hexdigest())
reporters = [name for name in sys.modules if name.split(".")[0] == "openvino_telemetry"]
sys.stdout.write(f" {reporters} {logging.getLoggerClass().__name__} {logging.getLogger('nncf').handlers}")
"""
    # rich draws bars where it is made to believe in a terminal
    surroundings = os.environ | {"PYTHONPATH": str(ROOT), "FORCE_COLOR": "1", "CUDA_HOME": "/usr/local"}
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT, env=surroundings
    )
    here = hashlib.sha256(features(network, made_up(2)[:3]).tobytes()).hexdigest()
    assert done.stdout == f"{here} [] Logger []"
    assert done.stderr == ""


def test_the_log_says_that_it_calibrates_and_how_long(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        network = settings(model=MODEL, engine="openvino", precision="int8").load(None, 1, calibration())
        assert "calibrating" not in caplog.text  # only when the first clip comes
        features(network, made_up(2)[:1])
    assert "backbone.precision=int8: calibrating the network on" in caplog.text
    assert "calibrated for int8 in " in caplog.text


def test_a_console_of_others_is_left_as_it_was(network: FrozenNetwork) -> None:
    import rich

    before = dict(rich.get_console().__dict__)
    features(network, made_up(2)[:1])
    assert rich.get_console().__dict__ == before
    assert not rich.get_console().quiet
    assert not logging.getLogger("torch.utils.cpp_extension").disabled


def test_a_trained_copy_is_calibrated_anew(network: FrozenNetwork, settings: Settings) -> None:
    other = settings(model=MODEL, weights_seed=3).load()
    tuned = network.tuned(other.copy().module.state_dict(), "began")
    assert tuned.identity == {**network.identity, "weights": tuned.network.digest[:16]}
    found = features(tuned, made_up(2))
    assert cosines(found, features(other, made_up(2))).min() > 0.95  # as above
    assert not np.array_equal(found, features(network, made_up(2)))


def test_without_calibration_it_is_no_backbone(settings: Settings) -> None:
    with pytest.raises(ValueError, match="int8 without calibration"):
        settings(model=MODEL, engine="auto", precision="int8").load()
    # the other precisions know nothing of it
    plain = settings(model=MODEL).load(None, 1, calibration(pytest.fail))
    assert "calibration" not in plain.identity


def test_a_cpu_that_cannot(settings: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    told = r"got int8, for which this CPU lacks the instructions \(VNNI.*use .*precision=float32"
    with monkeypatch.context() as patched:
        core = SimpleNamespace(get_property=lambda *_: ["FP32", "BIN"])
        patched.setattr(openvino_engine, "import_openvino", lambda: SimpleNamespace(Core=lambda: core))
        network = settings(model=MODEL, engine="auto", precision="int8").load(None, 1, calibration())
        with pytest.raises(UserError, match=f"(?i){told}"):
            features(network, made_up(2)[:1])
    for flags in ("flags : avx2 avx512f\n", ""):
        (tmp_path / "cpuinfo").write_text(f"processor : 0\n{flags}")
        monkeypatch.setattr("src.backbone.openvino_int8._CPU", tmp_path / "cpuinfo")
        network = settings(model=MODEL, engine="auto", precision="int8").load(None, 1, calibration())
        with pytest.raises(UserError, match=f"(?i){told}"):
            features(network, made_up(2)[:1])
    monkeypatch.setattr("src.backbone.openvino_int8._CPU", tmp_path / "absent")
    assert not adds_exactly()


@pytest.mark.parametrize("flag", ["avx512_vnni", "avx_vnni", "amx_int8"])
def test_a_cpu_that_can(flag: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cpuinfo").write_text(f"processor\t: 0\nflags\t\t: fpu avx2 {flag} ss\n")
    monkeypatch.setattr("src.backbone.openvino_int8._CPU", tmp_path / "cpuinfo")
    assert adds_exactly()


@pytest.mark.parametrize(("there", "told"), [((), "OpenVINO and NNCF"), (("openvino",), "NNCF")])
def test_what_is_not_installed(
    there: tuple[str, ...], told: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("src.backbone.engine.find_spec", lambda name: name if name in there else None)
    with pytest.raises(UserError, match=rf"int8, which takes {told}, not installed.*-r requirements-int8\.txt -c"):
        settings(model=MODEL, engine="auto", precision="int8").load(None, 1, calibration())


def test_int8_takes_openvino_even_beside_a_gpu(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    network = settings(model=MODEL, engine="auto", device="auto", precision="int8").load(None, 1, calibration())
    assert network.identity["device"] == "cpu"
    assert str(network.identity["engine"]).startswith("openvino ")


def test_a_network_that_cannot_be_brought_to_8_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    import nncf

    def refuse(*_: object, **__: object) -> None:
        raise nncf.UnsupportedModelError("a strange layer\nand more")

    monkeypatch.setattr(nncf, "quantize", refuse)
    with pytest.raises(UserError, match=r"NNCF cannot bring this network to int8 \(a strange layer\); use"):
        quantised(None, [np.zeros((3, 8, 8), np.float32)])
