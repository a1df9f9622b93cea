from dataclasses import fields
from importlib import import_module
from pathlib import Path

import pytest
import yaml

from src.head import KINDS, Head

CONF = Path(__file__).parents[2] / "conf"
FILES = sorted(CONF.glob("head/*.yaml")) + sorted(CONF.glob("trainer/*.yaml"))


def load(path):
    values = yaml.safe_load(path.read_text(encoding="utf8"))
    module, _, name = values.pop("_target_").rpartition(".")
    return getattr(import_module(module), name), values


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_file_gives_each_field_a_value_and_a_comment(path):
    kind, values = load(path)
    assert list(values) == [field.name for field in fields(kind)]
    kind(**values)
    lines = [line for line in path.read_text(encoding="utf8").splitlines() if not line.startswith(("#", "_target_"))]
    assert all("  # " in line for line in lines)


def test_there_is_a_file_for_every_head():
    heads = {path.stem: load(path) for path in FILES if path.parent.name == "head"}
    assert heads.keys() == KINDS.keys()
    for name, (kind, values) in heads.items():
        head = kind(**values)
        assert isinstance(head, Head)
        assert head.name.split()[0] == name


def test_the_defaults_are_the_papers():
    kind, values = load(CONF / "trainer" / "default.yaml")
    trainer = kind(**values)
    assert (trainer.max_steps, trainer.batch_size) == (8000, 100)
    _, linear = load(CONF / "head" / "linear.yaml")
    assert (linear["learning_rate"], linear["weight_std"]) == (0.01, 0.001)
