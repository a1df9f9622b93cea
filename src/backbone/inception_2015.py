"""The paper's very network: the graph of 2015-12-05, which the retrain script downloaded.

It has the entries of timm's `inception_v3` and computes another function: TensorFlow's average pooling does not count
the padding, and the last block takes the maximum instead of the mean. timm knows it as `inception_2015` once this is
imported.
"""

from types import MethodType
from typing import Any

import torch
from jaxtyping import Float
from timm.models import generate_default_cfgs, register_model
from timm.models.inception_v3 import InceptionV3
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, max_pool2d

from src.backbone.weights import INCEPTION_2015

Maps = Float[Tensor, "batch _ height width"]  # of any number of channels

default_cfgs = generate_default_cfgs(
    {
        INCEPTION_2015.model: {
            "url": "",
            "num_classes": INCEPTION_2015.classes,
            "input_size": (3, 299, 299),
            "pool_size": (8, 8),
            "mean": (128 / 255,) * 3,
            "std": (128 / 255,) * 3,
            "first_conv": "Conv2d_1a_3x3.conv",
            "classifier": "fc",
        }
    }
)


@register_model
def inception_2015(pretrained: bool = False, **settings: Any) -> InceptionV3:
    """Build the architecture; weights are loaded by `src.backbone.network.build`."""
    if pretrained:
        raise ValueError("timm does not publish these weights")
    accepted = {key: value for key, value in settings.items() if not key.startswith("pretrained_cfg")}
    accepted.pop("cache_dir", None)
    module = InceptionV3(**accepted)
    module.pretrained_cfg = module.default_cfg = default_cfgs[INCEPTION_2015.model].default.to_dict()
    for name, forward in FORWARDS.items():
        block: nn.Module = getattr(module, name)
        block.forward = MethodType(forward, block)
    return module


def average(maps: Maps) -> Maps:
    """Means over 3 x 3 neighbours, of those that are there."""
    return avg_pool2d(maps, 3, stride=1, padding=1, count_include_pad=False)


def maximum(maps: Maps) -> Maps:
    """Maxima over 3 x 3 neighbours."""
    return max_pool2d(maps, 3, stride=1, padding=1)


def forward_35(block: Any, maps: Maps) -> Maps:
    """The blocks of 35 x 35 cells: Mixed_5b to Mixed_5d."""
    fives = block.branch5x5_2(block.branch5x5_1(maps))
    threes = block.branch3x3dbl_3(block.branch3x3dbl_2(block.branch3x3dbl_1(maps)))
    return torch.cat([block.branch1x1(maps), fives, threes, block.branch_pool(average(maps))], 1)


def forward_17(block: Any, maps: Maps) -> Maps:
    """The blocks of 17 x 17 cells: Mixed_6b to Mixed_6e."""
    once = block.branch7x7_3(block.branch7x7_2(block.branch7x7_1(maps)))
    twice = block.branch7x7dbl_3(block.branch7x7dbl_2(block.branch7x7dbl_1(maps)))
    twice = block.branch7x7dbl_5(block.branch7x7dbl_4(twice))
    return torch.cat([block.branch1x1(maps), once, twice, block.branch_pool(average(maps))], 1)


def _forward_8(block: Any, maps: Maps, pooled: Maps) -> Maps:
    once = block.branch3x3_1(maps)
    twice = block.branch3x3dbl_2(block.branch3x3dbl_1(maps))
    branches = [block.branch1x1(maps), block.branch3x3_2a(once), block.branch3x3_2b(once)]
    branches += [block.branch3x3dbl_3a(twice), block.branch3x3dbl_3b(twice), block.branch_pool(pooled)]
    return torch.cat(branches, 1)


def forward_8_average(block: Any, maps: Maps) -> Maps:
    """The first block of 8 x 8 cells: Mixed_7b."""
    return _forward_8(block, maps, average(maps))


def forward_8_maximum(block: Any, maps: Maps) -> Maps:
    """The last block: Mixed_7c."""
    return _forward_8(block, maps, maximum(maps))


FORWARDS = {
    **dict.fromkeys(("Mixed_5b", "Mixed_5c", "Mixed_5d"), forward_35),
    **dict.fromkeys(("Mixed_6b", "Mixed_6c", "Mixed_6d", "Mixed_6e"), forward_17),
    "Mixed_7b": forward_8_average,
    "Mixed_7c": forward_8_maximum,
}
"""How each of the nine blocks that pool differently is computed."""
