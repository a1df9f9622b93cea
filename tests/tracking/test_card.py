"""What a run says of its model, there and back, and what differs between two keys of features."""

import json

import numpy as np
import pytest

from src.errors import UserError
from src.tracking.model_card import ModelCard, differences


def a_card() -> ModelCard:
    features = {"version": 1, "window": {"start": 0.1, "duration": None}, "levels_dbfs": [0.0, -5.0]}
    backbone = {"_target_": "src.backbone.pixels.Pixels", "rows": 4}
    durations = [1.0, 2.0, 9.0, 3.0]
    return ModelCard.of(features, backbone, ("öl", "b"), "linear", trained=durations[:3], every=[*durations, 30.5])


def test_it_reads_back_as_it_was():
    card = a_card()
    assert ModelCard.read(card.text().encode()) == card
    assert (card.typical_seconds, card.longest_seconds) == (2.0, 30.5)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "damaged"), (b"[]", "damaged"), (b"{}", "damaged"), (b'{"format": 9}', "of another format than 2"),
        (json.dumps({"format": 2, "classes": []}).encode(), "damaged"),
    ],
)  # fmt: skip
def test_a_damaged_one_is_told(content, told):
    with pytest.raises(UserError, match=rf"model\.json: {told}"):
        ModelCard.read(content)


def test_differences_are_named_with_both_values():
    stored = json.loads(a_card().text())["features"]
    assert differences(stored, a_card().features) == {}
    assert differences(stored, {**a_card().features, "levels_dbfs": (0.0, -5.0)}) == {}  # as JSON has it
    other = {
        "version": 1,
        "window": {"start": 0.1, "duration": float(np.float64(2))},
        "levels_dbfs": [0.0],
        "mono": "left",
    }
    assert differences(stored, other) == {
        "levels_dbfs": ([0.0, -5.0], [0.0]), "mono": (None, "left"), "window.duration": (None, 2.0),
    }  # fmt: skip
