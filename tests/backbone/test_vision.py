from collections.abc import Callable
from typing import Any

import pytest

from src.backbone import engine
from src.backbone.vision import TimmBackbone
from src.errors import UserError

Settings = Callable[..., TimmBackbone]


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"engine": "tensorrt"}, r"backbone\.engine: got 'tensorrt'; expected one of auto, torch, openvino"),
        ({"precision": "int8"}, r"backbone\.precision: got 'int8'; expected one of float32, bfloat16"),
        ({"precision": "float16"}, r"backbone\.precision: got 'float16'; expected one of float32, bfloat16"),
        ({"device": "gpu"}, r"backbone\.device: got 'gpu'; expected one of auto, cpu, cuda"),
        ({"scaling": "imagenet"}, r"backbone\.scaling: got 'imagenet'; expected one of null, protocol, timm"),
        ({"engine": "openvino", "device": "cuda"}, r"OpenVINO runs on the CPU"),
        ({"size": 0}, r"backbone\.size: got 0; expected pixels"),
        ({"weights_seed": -1}, r"backbone\.weights_seed: got -1"),
        ({"weights": "w.pth"}, r"w\.pth is a pickle"),
        ({"weights": "Random"}, r"got 'Random'; expected null"),
    ],
)
def test_impossible_settings_are_refused_before_anything_is_loaded(
    settings: Settings, changed: dict[str, Any], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        settings(**changed)


def test_a_size_the_network_cannot_take(settings: Settings) -> None:
    with pytest.raises(UserError, match=r"inception_v3.* cannot take pictures of 20 x 20 .* null for its own 299"):
        settings(model="inception_v3", size=20).load()


def test_a_gpu_that_is_not_there(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    with pytest.raises(UserError, match=r"got cuda, but torch sees no GPU here; use backbone\.device=cpu"):
        settings(device="cuda").load()


def test_an_engine_that_is_not_installed(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"got openvino, which is not installed; pip install openvino, or use"):
        settings(engine="openvino").load()
    assert str(settings(engine="auto").load().identity["engine"]).startswith("torch ")


def test_auto_prefers_openvino_on_a_cpu(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("INFO"):
        network = settings(engine="auto").load()
    assert str(network.identity["engine"]).startswith("openvino ")
    assert "backbone engine: openvino " in caplog.text
    assert "cpu, float32" in caplog.text
