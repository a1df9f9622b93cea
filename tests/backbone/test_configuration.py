from dataclasses import fields
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from src.backbone.auto import Auto
from src.backbone.pixels import Pixels
from src.backbone.vision import TimmBackbone

FOLDER = Path(__file__).parents[2] / "conf" / "backbone"
NAMES = ("auto", "efficientnet_lite0", "inception_v3", "pixels", "timm")
FOR_THE_HEAD = "standardize_features"  # read where the head is configured


def read(name: str, **given: Any) -> Any:
    """The object that a file describes."""
    values = OmegaConf.to_container(OmegaConf.load(FOLDER / f"{name}.yaml"))
    assert isinstance(values, dict)
    module, _, kind = values.pop("_target_").rpartition(".")
    values.pop(FOR_THE_HEAD)
    target = getattr(import_module(module), kind)
    assert set(values) == {field.name for field in fields(target)}
    return target(**(values | given))


@pytest.mark.parametrize("name", [name for name in NAMES if name != "timm"])
def test_every_file_describes_an_object(name: str) -> None:
    assert isinstance(read(name), TimmBackbone | Auto | Pixels)


def test_the_papers_network_has_the_protocols_input() -> None:
    inception = read("inception_v3")
    assert (inception.model, inception.size, inception.scaling) == ("inception_v3.tf_in1k", 299, "protocol")
    assert inception.precision == "float32"


def test_any_network_by_name() -> None:
    assert read("timm", model="resnet18.a1_in1k").model == "resnet18.a1_in1k"
    assert OmegaConf.is_missing(OmegaConf.load(FOLDER / "timm.yaml"), "model")


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_is_explained(name: str) -> None:
    lines = (FOLDER / f"{name}.yaml").read_text().splitlines()
    assert lines[0].startswith("# ")
    assert all("# " in line for line in lines[2:] if not line.startswith("model: "))
