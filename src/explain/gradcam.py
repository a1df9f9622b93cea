"""Grad-CAM (Selvaraju et al., 2017): where in the network's last maps the gradient of the decision points."""

import copy
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32, Float64
from torch import Tensor, nn

from src.backbone import Backbone
from src.errors import UserError
from src.head import FittedHead
from src.head.network import FittedNetwork

_ACTIVATIONS = {"none": nn.Identity(), "relu": nn.ReLU(), "tanh": nn.Tanh()}


class Inapplicable(Exception):
    """This model has no gradients from its decision to a map of the picture; the message says why."""


def differentiable(backbone: Backbone, head: FittedHead) -> nn.Module:
    """A copy of the network that gradients may run through; take it before the backbone's engine is started.

    Raises:
        Inapplicable: the backbone is no network of torch, or the head is no stack of layers.
    """
    module = getattr(getattr(backbone, "network", None), "module", None)
    if not isinstance(module, nn.Module):
        raise Inapplicable(f"{backbone.name} is no network: it has no gradients")
    if not isinstance(head, FittedNetwork):
        raise Inapplicable(f"the head {head.kind} is no stack of layers: it has no gradients")
    copied: nn.Module = copy.deepcopy(module).cpu().float().eval().requires_grad_(False)
    return copied


def gradcam(
    module: nn.Module, head: FittedHead, prepared: Float32[np.ndarray, "3 size size"], target: int, layer: str | None
) -> Float64[np.ndarray, "height width"]:
    """The map: channels weighted by the mean gradient of the class's log-odds, summed, negative parts cut off.

    The paper takes the class's logit; its log-odds against all others are what occlusion measures here, and do not
    change with what a softmax leaves open. Where classes compete this weighs what tells them apart.

    Args:
        module: see `differentiable`. prepared: the backbone's input. target: position of the class.
        layer: name of a module whose output is the map; None: the network's last map before pooling.

    Raises:
        Inapplicable: the network's last map is no grid of pixels (a transformer's tokens, for one).
        UserError: there is no such layer, or its output is no map.
    """
    if not isinstance(head, FittedNetwork):
        raise Inapplicable(f"the head {head.kind} is no stack of layers: it has no gradients")
    picture = torch.from_numpy(prepared)[None]
    with torch.enable_grad():
        maps, features = _last_map(module, picture) if layer is None else _at(module, picture, layer)
        others = head_logits(head, features)
        odds = others[target] - torch.logsumexp(others[torch.arange(len(others)) != target], dim=0)
        (gradient,) = torch.autograd.grad(odds, maps)
    weights = gradient.double().mean(dim=(2, 3), keepdim=True)
    found: Float64[np.ndarray, "height width"] = (weights * maps.double()).sum(dim=1)[0].clamp(min=0).detach().numpy()
    return found


def stretched(cam: Float64[np.ndarray, "height width"], rows: int, columns: int) -> Float64[np.ndarray, "rows columns"]:
    """The map over the picture, whose squashing to the network's input it undoes; bilinear."""
    grown = nn.functional.interpolate(
        torch.from_numpy(cam)[None, None], (rows, columns), mode="bilinear", align_corners=False
    )
    found: Float64[np.ndarray, "rows columns"] = grown[0, 0].numpy()
    return found


def _last_map(module: Any, picture: Tensor) -> tuple[Tensor, Tensor]:
    """The maps (1, channels, height, width) with a gradient, and the pooled features that follow from them."""
    if not (hasattr(module, "forward_features") and hasattr(module, "forward_head")):
        raise Inapplicable("this network does not say where its maps end; name one with explanation.layer")
    maps = module.forward_features(picture)
    if not isinstance(maps, Tensor) or maps.ndim != 4 or getattr(module, "output_fmt", "NCHW") != "NCHW":
        raise Inapplicable("this network's last map is no grid of pixels, as a convolutional network's is")
    maps = maps.detach().requires_grad_(True)
    return maps, module.forward_head(maps, pre_logits=True)


def _at(module: nn.Module, picture: Tensor, layer: str) -> tuple[Tensor, Tensor]:
    """The same from a named layer on."""
    known = dict(module.named_modules())
    if not layer or layer not in known:
        some = ", ".join(name for name, _ in module.named_children())
        raise UserError(f"explanation.layer: the network has no {layer!r}; the first names are {some}")
    kept: list[Tensor] = []

    def keep(_: nn.Module, __: object, output: Any) -> Any:
        if isinstance(output, Tensor) and output.ndim == 4:
            kept[:] = [output.detach().requires_grad_(True)]
            return kept[0]
        return output

    with known[layer].register_forward_hook(keep):
        features = module(picture)
    if not kept:
        raise UserError(f"explanation.layer: {layer} gives no map of the picture; choose a convolutional block")
    return kept[0], features


def head_logits(head: FittedNetwork, features: Tensor) -> Tensor:
    """What the head's softmax takes, in double precision as the head itself computes it."""
    scaling = head.scaling
    values = (features[0] - torch.from_numpy(scaling.mean)) / torch.from_numpy(scaling.deviation)
    values = values.double()
    for layer, (weight, bias) in enumerate(zip(head.weights, head.biases, strict=True)):
        values = _ACTIVATIONS[head.activation](values) if layer else values
        values = torch.from_numpy(weight).double() @ values + torch.from_numpy(bias).double()
    return values
