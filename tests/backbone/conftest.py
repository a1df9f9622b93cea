"""Small networks and pictures for the backbone's tests."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from src.backbone import weights as hub
from src.backbone.vision import TimmBackbone


@pytest.fixture(autouse=True)
def one_thread_and_no_hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As the commands run: torch on one thread; and whatever this machine's hub cache holds stays out of the tests."""
    torch.set_num_threads(1)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setattr(hub, "cached", lambda repository, filename: None)


def make_settings(**changed: Any) -> TimmBackbone:
    """A residual network of 0.5 million random weights that takes 160 x 160 pixels."""
    values = {
        "model": "test_resnet",
        "weights": "random",
        "weights_seed": 0,
        "engine": "torch",
        "precision": "float32",
        "device": "cpu",
        "scaling": None,
        "size": None,
        "antialias": True,
    }
    return TimmBackbone(**(values | changed))


@pytest.fixture(scope="session")
def settings() -> Callable[..., TimmBackbone]:
    """`settings(engine="openvino", ...)`: a tiny network, changed."""
    return make_settings


@pytest.fixture(scope="session")
def pictures() -> list[np.ndarray]:
    """Seven uint8 pictures of 120 bands x 300 frames: stripes of different slopes over noise."""
    rng = np.random.default_rng(0)
    band, frame = np.mgrid[:120, :300]
    stripes = [100 + 80 * np.sin((band + slope * frame) / 9) for slope in range(7)]
    return [(each + rng.normal(0, 20, each.shape)).clip(0, 255).astype(np.uint8) for each in stripes]
