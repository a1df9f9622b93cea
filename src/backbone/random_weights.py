"""Networks with random weights in which every block contributes to the features.

timm initialises networks for training from scratch: in many architectures the last scale of each residual branch starts
at 0 (zero-initialised residual branches) or at 1e-6 to 0.1 (LayerScale), so that each block begins as the identity.
Untrained, such a network would skip its blocks, and be no control for what its architecture contributes.
"""

import re

import timm
import torch
from torch import nn

SCALES = re.compile(r"weight|gain|scale|\w+_gain|\w+_scale|gamma\w*|ls\d*")
FILTERS = (nn.Conv1d, nn.Conv2d, nn.Linear)


def random_network(model: str, seed: int) -> tuple[nn.Module, bool]:
    """An architecture of timm without its classifier, with random weights, frozen.

    Weights are drawn as timm draws them. Then each scale that timm initialises to a constant below 1 is set to 1, and
    each layer whose weights are all 0 is drawn from He's normal distribution (fan out).

    Args:
        model: timm's name.
        seed: of the weights; the ambient generator is left as it was.

    Returns:
        The network, and whether anything was changed from what timm draws.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module: nn.Module = timm.create_model(model, pretrained=False, num_classes=0)
        changed = [_open(part) for part in module.modules()]
    return module.eval().requires_grad_(False), any(changed)


@torch.no_grad()
def _open(part: nn.Module) -> bool:
    """Set a layer's own scales that weaken or silence what passes through it; whether there were any."""
    changed = False
    for name, value in part.named_parameters(recurse=False):
        if not SCALES.fullmatch(name) or value.numel() == 0:
            continue
        first = value.flatten()[0]
        if abs(first) >= 1 or (value != first).any():
            continue
        if name == "weight" and isinstance(part, FILTERS):
            nn.init.kaiming_normal_(value, mode="fan_out", nonlinearity="relu")
        else:
            nn.init.ones_(value)
        changed = True
    return changed
