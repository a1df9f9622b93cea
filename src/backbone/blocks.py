"""The blocks of a network from its input to its output, as timm groups its layers."""

from timm.models import group_parameters
from torch import nn

from src.errors import UserError


def blocks(module: nn.Module, model: str) -> list[list[str]]:
    """Names of the parameters of each block, the first one nearest to the picture.

    Args:
        module: of timm. model: its name, for the message.

    Raises:
        UserError: timm does not say how this network is grouped.
    """
    matcher = getattr(module, "group_matcher", None)
    if matcher is None:
        raise UserError(f"transfer.blocks: timm does not group the layers of {model}; use transfer.blocks=all")
    grouped: dict[int, list[str]] = group_parameters(module, matcher(coarse=True), reverse=False)
    return [list(names) for _, names in sorted(grouped.items())]


def last(module: nn.Module, model: str, count: int) -> list[str]:
    """Names of the parameters of the last blocks.

    Raises:
        UserError: there are fewer.
    """
    found = blocks(module, model)
    if count > len(found):
        raise UserError(f"transfer.blocks: got {count}, but {model} has {len(found)} blocks; give 1 to {len(found)}")
    return [name for block in found[-count:] for name in block]
