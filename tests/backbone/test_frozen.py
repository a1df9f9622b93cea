import hashlib
import json
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from src.backbone import Backbone, frozen
from src.backbone import engine as engines
from src.backbone.engine import choose
from src.backbone.frozen import FrozenNetwork
from src.backbone.network import build
from src.backbone.openvino_engine import converted, import_openvino
from src.backbone.state import digest
from src.backbone.torch_engine import TorchGpu
from src.backbone.vision import TimmBackbone
from src.backbone.weights import RANDOM
from src.errors import UserError

Settings = Callable[..., TimmBackbone]
ROOT = Path(__file__).parents[2]
DEVICES = [("torch", "cpu"), ("openvino", "cpu")] + [("torch", "cuda")] * torch.cuda.is_available()


@pytest.fixture
def a_cpu_with_bfloat16(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """This machine's CPU passes for one that has bfloat16."""
    (tmp_path / "cpuinfo").write_text("flags\t\t: fpu avx512_bf16\n")
    monkeypatch.setattr(engines, "CPUINFO", tmp_path / "cpuinfo")


def features(network: Backbone, pictures: list[np.ndarray]) -> np.ndarray:
    """All in one call."""
    return network.embed([network.prepare(each) for each in pictures])


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    a, b = a.astype(np.float64), b.astype(np.float64)
    return (a * b).sum(axis=1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


@pytest.fixture(scope="module", params=DEVICES, ids="-".join)
def network(request: pytest.FixtureRequest, settings: Settings) -> FrozenNetwork:
    engine, device = request.param
    return settings(engine=engine, device=device).load(workers=2)


@pytest.fixture(scope="module")
def eager(settings: Settings, pictures: list[np.ndarray]) -> np.ndarray:
    """Features by the plain module, all pictures in one batch."""
    network = settings().load()
    with torch.inference_mode():
        return network.network.module(torch.from_numpy(np.stack([network.prepare(each) for each in pictures]))).numpy()


def test_it_is_a_backbone(network: FrozenNetwork, pictures: list[np.ndarray]) -> None:
    assert isinstance(network, Backbone)
    assert network.name == "test_resnet"
    assert network.weights == "random seed 0, without zero-init"
    assert network.feature_names[:2] == ["test_resnet_0000", "test_resnet_0001"]
    assert features(network, pictures).shape == (7, len(network.feature_names)) == (7, 96)
    assert network.embed([]).shape == (0, 96)


@pytest.mark.filterwarnings("ignore")  # torch's, of tracing
@pytest.mark.parametrize("model", ["test_resnet", "test_vit", "test_efficientnet"])
def test_converting_the_function_gives_the_bits_of_converting_the_module(model: str) -> None:
    openvino, module = import_openvino(), build(model, RANDOM, 0, None).module
    shape = (1, 3, 160, 160)
    with torch.no_grad():
        traced = torch.jit.trace(module, torch.zeros(shape), check_trace=False)
    plain = openvino.convert_model(traced, example_input=torch.zeros(shape), input=list(shape))
    core, hint = openvino.Core(), {"INFERENCE_PRECISION_HINT": "f32"}
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    expected, features = (
        core.compile_model(each, "CPU", hint)([image])[0] for each in (plain, converted(openvino, module, shape))
    )
    assert np.array_equal(features, expected)


def test_every_engine_gives_the_plain_modules_features(
    network: FrozenNetwork, pictures: list[np.ndarray], eager: np.ndarray
) -> None:
    # float32 all the way: only the order of sums differs
    assert np.allclose(features(network, pictures), eager, rtol=1e-3, atol=1e-4 * np.abs(eager).max())
    assert cosines(features(network, pictures), eager).min() > 0.999999


def test_a_clip_has_the_same_bits_in_any_batch_and_thread(network: FrozenNetwork, pictures: list[np.ndarray]) -> None:
    together = features(network, pictures)
    alone = np.concatenate([features(network, [each]) for each in pictures])
    backwards = features(network, pictures[::-1])[::-1]
    assert np.array_equal(together, alone)
    assert np.array_equal(together, backwards)
    with ThreadPoolExecutor(5) as pool:  # more threads than workers
        threads = np.concatenate(list(pool.map(lambda each: features(network, [each]), pictures * 4)))
    assert np.array_equal(threads, np.tile(together, (4, 1)))


def test_a_clip_has_the_same_bits_in_any_process_and_for_any_number_of_workers(
    settings: Settings, pictures: list[np.ndarray]
) -> None:
    program = """
import sys, hashlib, warnings
warnings.simplefilter("error")
import numpy as np, torch
torch.set_num_threads(1)
from tests.backbone.conftest import make_settings
picture = np.frombuffer(sys.stdin.buffer.read(), np.uint8).reshape(120, 300)
for engine in ("torch", "openvino"):
    network = make_settings(engine=engine).load(workers=1)
    row = network.embed([network.prepare(picture)])
    print(hashlib.sha256(row.tobytes()).hexdigest())
print("openvino_telemetry" in sys.modules)
"""
    there = subprocess.run(
        [sys.executable, "-c", program], input=pictures[3].tobytes(), capture_output=True, check=True, cwd=ROOT
    )
    here = [features(settings(engine=engine).load(workers=3), [pictures[3]]) for engine in ("torch", "openvino")]
    assert there.stdout.decode().split() == [*(hashlib.sha256(each.tobytes()).hexdigest() for each in here), "False"]
    assert there.stderr == b""


def test_the_threads_that_torch_was_given_do_not_matter(network: FrozenNetwork, pictures: list[np.ndarray]) -> None:
    before = features(network, pictures)
    torch.set_num_threads(2)
    assert np.array_equal(features(network, pictures), before)


def test_frozen_means_frozen(settings: Settings, pictures: list[np.ndarray]) -> None:
    network = settings(engine="torch").load()
    before = digest(network.network.module)
    features(network, pictures)
    assert digest(network.network.module) == before == network.network.digest
    assert not any(part.training for part in network.network.module.modules())


@pytest.mark.parametrize("engine", ["torch", "openvino"])
def test_bfloat16_is_computed_where_the_cpu_has_it_and_refused_at_once_where_not(
    engine: str, settings: Settings, pictures: list[np.ndarray], eager: np.ndarray
) -> None:
    bfloat16 = settings(engine=engine, precision="bfloat16")
    if {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(Path("/proc/cpuinfo").read_text().split()):
        with pytest.raises(UserError, match=r"bfloat16.*emulate.*precision=float32"):
            bfloat16.load(workers=1)
        return
    network = bfloat16.load(workers=1)
    assert network.identity["precision"] == "bfloat16"
    near_but_rounded(network, pictures, eager)


def near_but_rounded(network: FrozenNetwork, pictures: list[np.ndarray], eager: np.ndarray) -> None:
    found = features(network, pictures)
    # 8 bits of mantissa: each layer rounds by up to 0.4 %, and 20 layers may add up to a few per cent (cosine 0.999)
    assert cosines(found, eager).min() > 0.999
    assert not np.allclose(found, eager, rtol=1e-4)
    assert np.array_equal(found, np.concatenate([features(network, [each]) for each in pictures]))


def test_torchs_bfloat16_is_rounded_to_8_bits(
    settings: Settings, pictures: list[np.ndarray], eager: np.ndarray, a_cpu_with_bfloat16: None
) -> None:
    """Torch emulates it on other CPUs, which is only slow: here the numbers count."""
    network = settings(engine="torch", precision="bfloat16").load(workers=1)
    assert network.identity["precision"] == "bfloat16"
    near_but_rounded(network, pictures, eager)


def test_float32_means_float32(settings: Settings, pictures: list[np.ndarray], eager: np.ndarray) -> None:
    # OpenVINO takes bfloat16 by itself where it can, and would miss this by a factor of 1000.
    found = features(settings(engine="auto").load(), pictures)
    assert np.abs(found - eager).max() < 1e-4 * np.abs(eager).max()


def test_the_identity_names_what_determines_the_features_and_no_path(settings: Settings) -> None:
    network = settings(engine="openvino", weights_seed=1).load()
    assert network.identity == {
        "model": "test_resnet",
        "weights": network.network.digest[:16],
        "engine": network.identity["engine"],
        "device": "cpu",
        "precision": "float32",
        "size": 160,
        "mean": [127.5] * 3,
        "deviation": [127.5] * 3,
        "antialias": True,
    }
    assert json.loads(json.dumps(network.identity)) == network.identity


@pytest.mark.parametrize(
    "changed",
    [{"weights_seed": 1}, {"scaling": "protocol"}, {"size": 96}, {"antialias": False}, {"precision": "bfloat16"}],
    ids=lambda changed: next(iter(changed)),
)
def test_what_changes_the_features_changes_the_identity(
    changed: dict[str, object], settings: Settings, pictures: list[np.ndarray], a_cpu_with_bfloat16: None
) -> None:
    plain, other = settings().load(), settings(**changed).load()
    assert plain.identity != other.identity
    assert not np.array_equal(features(plain, pictures), features(other, pictures))


def test_the_engine_is_loaded_only_when_a_clip_comes(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = []
    kind = choose("torch", "float32", "cpu")

    class Counted(kind):  # type: ignore[misc,valid-type]  # a class chosen at run time
        def __init__(self, *args: object) -> None:
            loaded.append(args)
            super().__init__(*args)

    monkeypatch.setattr(frozen, "choose", lambda *_: Counted)
    network = settings().load()
    assert network.identity
    assert loaded == []
    clip = network.prepare(np.zeros((8, 8), np.uint8))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: network.embed([clip]), range(8)))
    assert len(loaded) == 1


@pytest.mark.parametrize(
    ("model", "scaling", "wanted"),
    [
        # white and black, of the first channel
        ("inception_v3.tf_in1k", None, [127 / 128, -1]),
        ("inception_v3.tf_in1k", "timm", [1, -1]),
        ("inception_v3.gluon_in1k", None, [(1 - 0.485) / 0.229, -0.485 / 0.229]),  # trained on ImageNet's scale
        ("tf_efficientnet_lite0", None, [1, -1]),
        ("tf_efficientnet_lite0", "protocol", [127 / 128, -1]),
        ("test_efficientnet", None, [(1 - 0.485) / 0.229, -0.485 / 0.229]),
    ],
)
def test_each_network_gets_the_scale_it_was_trained_with(
    model: str, scaling: str | None, wanted: list[float], settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(frozen, "feature_count", lambda *_: 1)
    network = settings(model=model, scaling=scaling).load()
    ends = [network.prepare(np.full((5, 9), value, np.uint8)).reshape(3, -1)[0, 0] for value in (255, 0)]
    # float32 arithmetic on values of about 2
    assert ends == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(
    ("model", "scaling", "level"),
    [
        ("test_resnet", "protocol", "INFO"),
        ("test_efficientnet", None, "INFO"),
        ("test_efficientnet", "protocol", "WARNING"),
    ],
)
def test_the_log_states_the_scale_and_warns_of_another_than_the_networks(
    model: str, scaling: str | None, level: str, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO"):
        network = settings(model=model, scaling=scaling).load()
    messages = [record for record in caplog.records if "scaling" in record.message]
    assert max(record.levelname for record in messages) == level
    assert f"{network.scaling[0][0]:g}" in messages[-1].message


def test_grey_and_the_same_in_three_colours_are_one_picture(settings: Settings, pictures: list[np.ndarray]) -> None:
    network = settings().load()
    colours = np.repeat(pictures[0][..., None], 3, axis=2)
    assert np.array_equal(network.prepare(colours), network.prepare(pictures[0]))
    colours[..., 0] //= 2
    assert not np.array_equal(features(network, [colours]), features(network, pictures[:1]))


def test_features_that_overflow_are_refused(settings: Settings) -> None:
    network = settings().load()
    with torch.no_grad():
        next(network.network.module.parameters()).fill_(3e38)
    with pytest.raises(UserError, match=r"test_resnet \(random seed 0, .*\): features are not finite"):
        features(network, [np.full((8, 8), 255, np.uint8)])


def test_the_papers_network_has_2048_features_at_299(settings: Settings) -> None:
    network = settings(model="inception_v3.tf_in1k").load()
    assert len(network.feature_names) == 2048
    assert network.feature_names[-1] == "inception_v3_2047"
    assert network.prepare(np.zeros((120, 1200), np.uint8)).shape == (3, 299, 299)


def test_lite0_has_1280_features_at_224(settings: Settings) -> None:
    network = settings(model="tf_efficientnet_lite0", weights=None).load()
    assert network.name == "efficientnet_lite0"
    assert len(network.feature_names) == 1280
    assert network.prepare(np.zeros((120, 1200), np.uint8)).shape == (3, 224, 224)


def test_gpu_batches_are_all_of_one_size(
    settings: Settings, pictures: list[np.ndarray], eager: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no GPU, the CPU stands in for it: what is tested is how batches are cut and filled up."""
    sizes, zeros = [], torch.zeros

    def pageable(*shape: int, pin_memory: bool = False, **more: object) -> torch.Tensor:
        return zeros(*shape, **more)

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a card")
    monkeypatch.setattr(torch.nn.Module, "cuda", lambda self: self)
    monkeypatch.setattr(torch.Tensor, "cuda", lambda self: sizes.append(len(self)) or self)
    monkeypatch.setattr(torch, "zeros", pageable)
    monkeypatch.setattr(TorchGpu, "batch_size", 3)
    network = settings(device="cuda").load()
    assert network.identity["device"] == "a card"
    assert network.batch_size == 3
    found = features(network, pictures)
    assert sizes == [3, 3, 3]
    # float32 all the way: only the order of sums differs
    assert np.allclose(found, eager, rtol=1e-3, atol=1e-4 * np.abs(eager).max())
    assert np.array_equal(found[6:], features(network, pictures[6:]))
