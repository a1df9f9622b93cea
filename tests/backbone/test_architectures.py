"""timm's architectures load their own published layout, whatever their classifier consists of."""

from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file

from src.backbone.network import build
from src.backbone.state import fitted, sketch
from src.errors import UserError

# the architectures of timm 1.0.31 whose classifier has more layers than the one or two that timm names: 55
FAMILIES = ["caformer_*", "convformer_*", "efficientvit_m*", "iformer_*", "levit_*", "repvit_*", "shvit_*"]
NESTED = timm.list_models(FAMILIES)
# one of each layout of these
LAYOUTS = ["caformer_s18", "iformer_m_distilled", "levit_256d", "levit_conv_128s"]
# small enough to run
SMALL = ["efficientvit_m0", "levit_128s", "repvit_m0_9", "shvit_s1"]


def loads_its_own_layout(architecture: str) -> None:
    """All entries of the whole network are accepted, and those of the network without its classifier are left."""
    bare = sketch(architecture, classes=0)
    left = fitted(bare, dict(sketch(architecture, classes=1000).state_dict()), where="w", model=architecture)
    assert left.keys() == bare.state_dict().keys()


@pytest.mark.parametrize("architecture", LAYOUTS)
def test_classifiers_of_several_layers_are_left_out(architecture: str) -> None:
    loads_its_own_layout(architecture)


@pytest.mark.slow
@pytest.mark.parametrize("architecture", NESTED)
def test_every_classifier_of_several_layers_is_left_out(architecture: str) -> None:
    loads_its_own_layout(architecture)


@pytest.mark.slow
@pytest.mark.parametrize("module", timm.list_modules())
def test_architectures_of_every_module_of_timm_load_their_own_layout(module: str) -> None:
    """The first and the last by name."""
    names = timm.list_models(module=module)
    for architecture in {names[0], names[-1]}:
        loads_its_own_layout(architecture)


@pytest.mark.parametrize("architecture", SMALL)
def test_features_are_those_that_the_whole_network_gives_its_classifier(architecture: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    whole = timm.create_model(architecture).eval()
    save_file({key: value.contiguous() for key, value in whole.state_dict().items()}, tmp_path / "mine.safetensors")
    network = build(architecture, str(tmp_path / "mine.safetensors"), 0, None)
    picture = torch.randn(1, 3, network.card.size, network.card.size)
    with torch.inference_mode():
        expected = whole.forward_head(whole.forward_features(picture), pre_logits=True)
        assert torch.equal(network.module(picture), expected)


def test_a_layer_that_no_classifier_has_is_still_refused() -> None:
    entries = dict(sketch("shvit_s1", classes=1000).state_dict())
    with pytest.raises(UserError, match=r"head\.extra does not belong"):
        fitted(sketch("shvit_s1", classes=0), entries | {"head.extra": torch.zeros(1)}, where="w", model="shvit_s1")
