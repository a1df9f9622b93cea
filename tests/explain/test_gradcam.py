"""Grad-CAM against worked-out maps, and on a network of photographs that learned to hear one tone."""

from dataclasses import dataclass, replace
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from tones import HERTZ, clip, learned
from torch import nn

from src.backbone.pixels import Pixels
from src.backbone.vision import TimmBackbone
from src.errors import UserError
from src.explain import gradcam
from src.head.network import FittedNetwork, Scaling


class Pooled(nn.Module):
    """One convolution, a rectifier, and the mean over all places: the simplest network of its kind."""

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.conv = nn.Conv2d(3, 4, 3, stride=2)

    def forward_features(self, x):
        return torch.relu(self.conv(x))

    def forward_head(self, x, pre_logits=False):
        return x.mean(dim=(2, 3))

    def forward(self, x):
        return self.forward_head(self.forward_features(x))


def head_of(*sizes: int, activation: str = "none") -> FittedNetwork:
    rng = np.random.default_rng(0)
    scaling = Scaling(rng.normal(0, 1, sizes[0]).astype("f4"), rng.uniform(0.5, 2, sizes[0]).astype("f4"))
    weights = tuple(rng.normal(0, 1, (b, a)).astype("f4") for a, b in pairwise(sizes))
    biases = tuple(rng.normal(0, 1, size).astype("f4") for size in sizes[1:])
    return FittedNetwork("mlp", scaling, weights, biases, activation)


@pytest.mark.parametrize("layer", [None, "conv"])
def test_with_pooling_and_a_linear_head_it_is_the_class_activation_map(layer):
    """Selvaraju et al., section 3.1: Grad-CAM generalises CAM, whose channel weights are the class's own.

    With two classes the log-odds are the difference of the logits, with standardised features each weight is divided
    by the deviation, and the mean over places divides by their number.
    """
    module, head = Pooled(), head_of(4, 2)
    picture = np.random.default_rng(1).normal(0, 1, (3, 15, 15)).astype(np.float32)
    found = gradcam.gradcam(module, head, picture, 1, layer)
    batch = torch.from_numpy(picture)[None]
    maps = (module.forward_features(batch) if layer is None else module.conv(batch))[0].detach().numpy()
    weights = (head.weights[0][1] - head.weights[0][0]) / head.scaling.deviation / maps[0].size
    if layer:  # before the rectifier only places that pass it have a gradient: a mean over all places
        weights = weights * (maps > 0).mean(axis=(1, 2))
    expected = np.maximum(np.tensordot(weights, maps, 1), 0)
    np.testing.assert_allclose(found, expected, atol=1e-6)  # float32 convolutions
    assert found.max() > 0.01


@pytest.mark.parametrize("activation", ["none", "relu", "tanh"])
def test_the_head_on_top_is_the_head_itself(activation):
    head = head_of(6, 5, 4, 3, activation=activation)
    features = np.random.default_rng(2).normal(0, 2, (1, 6)).astype(np.float32)
    logits = gradcam.head_logits(head, torch.from_numpy(features))
    expected = head.predict_proba(features)[0]
    np.testing.assert_allclose(torch.softmax(logits, 0).numpy(), expected, rtol=1e-6)  # probabilities are float32


def test_the_map_is_stretched_over_the_picture_as_it_was_squashed():
    grown = gradcam.stretched(np.array([[0.0, 1.0], [2.0, 3.0]]), 40, 80)
    assert grown.shape == (40, 80)
    assert grown[0, 0] == 0
    assert grown[-1, -1] == 3
    assert grown[:10].mean() == pytest.approx(0.5, abs=1e-12)  # above the middle of the upper cells
    assert grown.mean() == pytest.approx(1.5, abs=1e-12)


class Tokens(Pooled):
    def forward_features(self, x):
        return super().forward_features(x).flatten(2)


@pytest.mark.parametrize(
    ("module", "told"),
    [(Tokens(), "no grid of pixels"), (nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten()), "explanation.layer")],
)
def test_networks_without_a_map_are_told(module, told):
    with pytest.raises(gradcam.Inapplicable, match=told):
        gradcam.gradcam(module, head_of(4, 2), np.zeros((3, 15, 15), np.float32), 0, None)


@dataclass
class Holder:
    name: str
    network: Any


@pytest.mark.parametrize(
    ("backbone", "head", "told"),
    [
        (Pixels(4, 4), head_of(16, 2), "pixels is no network"),
        (Holder("x", Holder("y", None)), head_of(4, 2), "x is no"),
    ],
)
def test_what_has_no_gradients_is_told(backbone, head, told):
    with pytest.raises(gradcam.Inapplicable, match=told):
        gradcam.differentiable.__wrapped__(backbone, head)


@pytest.mark.parametrize(("layer", "told"), [("blocks.99", "no 'blocks.99'; the first names are conv"), ("", "no ''")])
def test_a_layer_that_is_not_there_is_told(layer, told):
    with pytest.raises(UserError, match=told):
        gradcam.gradcam(Pooled(), head_of(4, 2), np.zeros((3, 15, 15), np.float32), 0, layer)


def lite0(weights: str | None) -> Any:
    return TimmBackbone("tf_efficientnet_lite0", weights, 0, "torch", "float32", "cpu", "timm", None, True).load(
        None, 1
    )


@cache
def taught(weights: str | None) -> Any:
    return learned(lite0(weights), clips=8).model


def offsets(model: Any, heads: int = 0) -> list[int]:
    """Rows between the tone and the brightest row of the map, for three clips; or under shuffled heads."""
    backbone, image_transform = model.pipeline.backbone, model.pipeline.image_transform
    module = gradcam.differentiable(backbone, model.head)
    found = []
    for seed in (200, 201, 202):
        picture = image_transform.picture(clip(seed, toned=True))
        rng = np.random.default_rng(seed)
        shuffled = [rng.permutation(model.head.weights[0].ravel()).reshape(2, -1) for _ in range(heads)]
        for weight in shuffled or [model.head.weights[0]]:
            head = replace(model.head, weights=(weight,))
            cam = gradcam.gradcam(module, head, backbone.prepare(picture), 1, None)
            rows = gradcam.stretched(cam, *picture.shape).mean(axis=1)
            found.append(int(rows.argmax()) - round(120 - 12 * np.log2(HERTZ / 20)))
    return found


CELL = 121 / 7  # rows of the picture that one row of the last map stands for: nothing finer can be told


def test_a_tone_is_found_by_a_network_of_photographs():
    assert max(map(abs, offsets(taught(None)))) <= CELL


def test_shuffled_heads_and_random_networks_do_not_find_it():
    """Adebayo et al. (2018): a map that stayed the same under random weights would explain nothing.

    By chance a row of the map is the tone's or its neighbour in three of seven.
    """
    assert np.mean(np.abs(offsets(taught(None), heads=6)) <= CELL) < 0.75
    assert np.mean(np.abs(offsets(taught("random"))) <= CELL) < 0.75
