"""A control with random weights has every layer of its architecture at work."""

import pytest
import timm
import torch
from torch import nn

from src.backbone.network import build

# small architectures with each of timm's ways to begin as the identity: last scale of a branch 0 (batch normalisation,
# gain of standardised convolutions, filters of an attention), layer scale of 1e-6 or 1e-5 under several names
SILENCED = [
    "convnextv2_atto", "edgenext_xx_small", "efficientvit_m0", "fastvit_t8", "gcresnext26ts", "levit_128s",
    "regnetx_002", "resnet10t", "test_byobnet", "test_convnext", "test_convnext2", "test_mambaout", "test_nfnet",
    "test_resnet", "test_vit2", "test_vit4", "test_vit_relpos", "tiny_vit_5m_224",
]  # fmt: skip
# timm's own initial weights give 0 to 3e-5 for some filter of SILENCED, and the networks here 1e-3 at least
LEAST = 3e-4
# Without statistics of training, batch normalisation leaves the activations of levit_128s and efficientvit_m0 at 1e-4,
# where attention weights all positions alike, whatever the queries.
QUERIES = (".q.ln.", ".attn.dws.")
OPEN = ["test_coatnet", "test_efficientnet", "test_vit", "tf_efficientnet_lite0", "xcit_nano_12_p16_224"]


def effects(module: nn.Module, size: int) -> dict[str, float]:
    """How much the features depend on each filter, relative to their norm.

    To first order, per relative change of the filter; where that is small, the change without the filter: attention
    that selects a single position does not depend on small changes.
    """
    generator = torch.Generator().manual_seed(1)
    picture = torch.randn(1, 3, size, size, generator=generator)
    module.requires_grad_(True)
    features = module(picture)
    assert torch.isfinite(features).all()
    (features * torch.randn(features.shape, generator=generator)).sum().backward()
    features = features.detach()
    found = {}
    for name, value in module.named_parameters():
        if not name.endswith("weight") or value.ndim < 2 or any(part in name for part in QUERIES):
            continue
        with torch.inference_mode():
            found[name] = float(value.grad.norm() * value.norm() / features.norm())
            if found[name] < LEAST:
                kept = value.clone()
                value.zero_()
                found[name] = float((module(picture) - features).norm() / features.norm())
                value.copy_(kept)
    return found


@pytest.mark.parametrize("architecture", [*SILENCED, *OPEN])
def test_every_filter_has_an_effect_on_the_features(architecture: str) -> None:
    network = build(architecture, "random", 0, None)
    found = effects(network.module, network.card.size)
    assert min(found.values()) > LEAST, min(found, key=lambda name: found[name])


@pytest.mark.parametrize("architecture", ["test_resnet", "test_nfnet"])
def test_timms_own_initial_weights_leave_filters_without_effect(architecture: str) -> None:
    """Should this fail, timm has changed, and nothing need be changed here any more."""
    module = timm.create_model(architecture, num_classes=0).eval()
    assert min(effects(module, timm.models.get_pretrained_cfg(architecture).input_size[-1]).values()) == 0


@pytest.mark.parametrize("architecture", ["test_resnet", "gcresnext26ts"])
def test_what_differs_from_timm_is_said_and_follows_the_seed(architecture: str) -> None:
    first, again, other = (build(architecture, "random", seed, None) for seed in (3, 3, 4))
    assert first.weights == "random seed 3, without zero-init"
    assert first.digest == again.digest != other.digest


@pytest.mark.parametrize("architecture", ["test_efficientnet", "tf_efficientnet_lite0"])
def test_architectures_without_zero_init_have_timms_own_weights(architecture: str) -> None:
    network = build(architecture, "random", 3, None)
    assert network.weights == "random seed 3"
    torch.manual_seed(3)
    state = timm.create_model(architecture, num_classes=0).state_dict()
    assert all(torch.equal(value, state[name]) for name, value in network.module.state_dict().items())


def test_scales_that_are_set_are_1_and_nothing_else_is_changed() -> None:
    torch.manual_seed(0)
    before = timm.create_model("test_resnet", num_classes=0).state_dict()
    after = build("test_resnet", "random", 0, None).module.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {name for name, value in before.items() if name.endswith("weight") and not value.any()}
    assert len(changed) == 4, "the last normalisation of each block"
    assert all((after[name] == 1).all() for name in changed)
