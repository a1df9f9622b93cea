from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from src.backbone import weights as hub
from src.backbone.network import build, look_up
from src.backbone.state import digest
from src.errors import UserError

MODEL = "test_resnet"


def random(seed: int) -> str:
    return build(MODEL, "random", seed, None).digest


def test_random_weights_follow_their_seed_alone() -> None:
    torch.manual_seed(5)
    first = random(0)
    torch.manual_seed(6)
    assert random(0) == first
    assert random(1) != first


def test_building_leaves_the_ambient_generator_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    random(0)
    assert torch.equal(torch.rand(1), expected)


def test_random_weights_say_so() -> None:
    network = build(MODEL, "random", 3, None)
    assert network.weights == "random seed 3, without zero-init"
    assert network.digest == digest(network.module)


def test_frozen_means_no_gradient_and_no_drift() -> None:
    module = build(MODEL, "random", 0, None).module
    assert not any(value.requires_grad for value in module.parameters())
    assert not any(part.training for part in module.modules())
    before = digest(module)
    module(torch.randn(8, 3, 64, 64))
    assert digest(module) == before
    module.train()  # what requires_grad alone would not have prevented
    module(torch.randn(8, 3, 64, 64))
    assert digest(module) != before


def test_a_random_inception_stays_within_float32() -> None:
    # Its features grow to about 1e11 over 94 layers: too much for float16, not for float32 (3e38).
    module = build("inception_v3.tf_in1k", "random", 0, None).module
    features = module(torch.ones(1, 3, 96, 96))
    assert features.shape == (1, 2048)
    assert torch.isfinite(features).all()


def test_weights_from_a_file_are_named_after_it(tmp_path: Path) -> None:
    entries = dict(timm.create_model(MODEL).state_dict())
    save_file(entries, tmp_path / "mine.safetensors")
    network = build(MODEL, str(tmp_path / "mine.safetensors"), 0, None)
    assert network.weights == f"file mine {network.digest[:8]}"
    assert network.digest != random(0)
    assert build(MODEL, str(tmp_path / "mine.safetensors"), 7, None).digest == network.digest


def test_published_weights_are_named_as_published(tmp_path: Path) -> None:
    file = tmp_path / f"{MODEL}.r160_in1k.safetensors"
    save_file(dict(timm.create_model(MODEL).state_dict()), file)
    network = build(MODEL, None, 0, tmp_path)
    assert network.weights == f"imagenet {MODEL}.r160_in1k {network.digest[:8]}"
    assert build(MODEL, str(file), 0, None).weights == network.weights


def test_weights_in_the_hubs_cache_are_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "model.safetensors"
    save_file(dict(timm.create_model(MODEL).state_dict()), file)
    asked = []
    monkeypatch.setattr(hub, "cached", lambda *where: asked.append(where) or file)
    assert build(MODEL, None, 0, None).weights.startswith("imagenet test_resnet.r160_in1k ")
    assert asked == [("timm/test_resnet.r160_in1k", "model.safetensors")]


def test_lite0_comes_with_the_installation() -> None:
    network = build("tf_efficientnet_lite0", None, 0, None)
    # The digest of these very weights; another one means that they, or their names, have changed.
    assert network.weights == "imagenet efficientnet_lite0 9329dfae"


def test_the_card_of_the_papers_network() -> None:
    card = look_up("inception_v3.tf_in1k")
    assert card.size == 299
    assert card.classifiers == ("fc",)
    assert (card.published.repository, card.published.filename) == ("timm/inception_v3.tf_in1k", "model.safetensors")


def test_the_card_of_a_network_with_imagenets_scale() -> None:
    card = look_up("resnet18")
    # Mean and deviation of ImageNet's pictures, published as fractions of 1
    assert np.allclose(card.mean, [123.675, 116.28, 103.53])
    assert np.allclose(card.deviation, [58.395, 57.12, 57.375])


def test_unknown_models_are_answered_with_near_ones() -> None:
    with pytest.raises(UserError, match=r"no model called 'inceptionv3'; did you mean inception_v3 or"):
        look_up("inceptionv3")
    with pytest.raises(UserError, match=r"no weights called 'resnet18\.best'; it knows resnet18\.a1_in1k"):
        look_up("resnet18.best")
