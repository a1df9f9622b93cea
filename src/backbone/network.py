"""A timm network without its classifier, frozen, with its weights."""

import logging
import re
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

import timm
import torch
from timm.models import group_parameters
from torch import nn

from src.backbone.recognition import refuse_known, refuse_other_network
from src.backbone.state import (
    State,
    digest,
    digest_of,
    fitted,
    is_ours,
    read_lite0,
    read_pinned,
    read_safetensors,
    sketch,
)
from src.backbone.weights import INCEPTION, INCEPTION_2015, LITE0, RANDOM, Published, fetch, table_name
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


log = logging.getLogger(__name__)

WITHOUT_ZERO_INIT = ", without zero-init"  # said of random weights that differ from timm's, see `random_network`
IMAGENET = ("in1k", "in12k", "in21k", "in22k")  # how timm marks weights trained on ImageNet


@dataclass(frozen=True)
class PretrainedConfig:
    """What timm knows of a model.

    Attributes:
        published: where its weights are.
        classifiers: names of its last layer or layers.
        classes: of the published weights; 0: they have no classifier.
        size: height and width of its input in pixels.
        mean: of the values of each channel, which run from 0 to 255; `deviation` likewise.
    """

    published: Published
    classifiers: tuple[str, ...]
    classes: int
    size: int
    mean: tuple[float, ...]
    deviation: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class Network:
    """A frozen network.

    Attributes:
        module: in eval mode and without gradients; float32 (1, 3, height, width) -> (1, features).
        card: what timm knows of it.
        weights: where they come from, in a few words, e.g. `imagenet efficientnet_lite0 1a2b3c4d`.
        digest: 64 hexadecimal digits of SHA-256 over all weights.
    """

    module: nn.Module
    card: PretrainedConfig
    weights: str
    digest: str


def build(model: str, weights: str | None, seed: int, weights_dir: Path | None) -> Network:
    """Make a network and give it its weights.

    Args:
        model: timm's name, e.g. `inception_v3.tf_in1k`.
        weights: None: the published ones; `random`: drawn from `seed`; otherwise the path of a .safetensors file.
        seed: of random weights; unused otherwise.
        weights_dir: a folder where published weights may lie, as `<model>.safetensors`.

    Raises:
        UserError: no such model; no weights to be had; or a file that is not this model's, or known not to be.
    """
    card = look_up(model)
    if weights == RANDOM:
        module, changed = random_network(model, seed)
        return Network(module, card, f"random seed {seed}{WITHOUT_ZERO_INIT if changed else ''}", digest(module))
    origin, state = _weights(card, model, weights, weights_dir)
    module, _ = random_network(model, 0)
    module.load_state_dict(state, strict=False)  # some files lack training counters
    found = digest(module)
    return Network(module, card, f"{origin} {found[:8]}", found)


def check(model: str, weights: str | None, weights_dir: Path | None, size: int | None) -> None:
    """Raise what `build` and `feature_count` would raise, without building the network.

    Args:
        size: height and width of pictures; None: the network's own.

    Raises:
        UserError: as these.
    """
    card = look_up(model)
    if weights != RANDOM:
        _weights(card, model, weights, weights_dir)
    if size is not None:
        feature_count(sketch(model, classes=0), card, size)


def feature_count(module: nn.Module, card: PretrainedConfig, size: int) -> int:
    """How many pooled features a network gives for a picture of size x size; it is run once on an empty one.

    Args:
        module: may be on the meta device.

    Raises:
        UserError: it cannot take a picture of this size, or does not pool to one row.
    """
    model = card.published.model
    try:
        with torch.inference_mode():
            picture = torch.zeros(1, 3, size, size, device=next(module.parameters()).device)
            shape = tuple(int(length) for length in module(picture).shape)
    except (RuntimeError, AssertionError, ValueError) as error:
        reason = str(error).partition("\n")[0]
        raise UserError(
            f"backbone.size: {model} cannot take pictures of {size} x {size} ({reason}); leave backbone.size at null "
            f"for its own {card.size}"
        ) from error
    if len(shape) != 2:
        raise UserError(f"backbone.model: {model} gives features of shape {shape}; expected one row, pooled")
    return shape[1]


def _weights(card: PretrainedConfig, model: str, weights: str | None, weights_dir: Path | None) -> tuple[str, State]:
    """Weights for a network: what they are, in a few words, and their entries.

    Raises:
        UserError: they cannot be had, do not fit, or are known to belong to another network.
    """
    full_name = card.published.model
    if model == INCEPTION_2015.model:
        origin, state, where = _weights_2015(weights, weights_dir)
    elif weights is None and model == LITE0:
        origin, state, where = "imagenet efficientnet_lite0", read_lite0(), "the package of weights"
    else:
        file = fetch(card.published, weights_dir) if weights is None else Path(weights)
        where, state = str(file), read_safetensors(file)
        outputs = next((len(state[f"{name}.weight"]) for name in card.classifiers if f"{name}.weight" in state), None)
        refuse_other_network(file, full_name, outputs, card.classes)
        if outputs is None and table_name(model) == table_name(INCEPTION.model) and not is_ours(file):
            log.warning(
                "backbone.weights: %s has no classifier, by which the weights of Inception's graph of 2015-12-05 are "
                "recognised. If it holds these, the features are wrong",
                file,
            )
        # published weights are called by their own name, also from a file that bears it
        tag = full_name.partition(".")[2]
        origin = f"{'imagenet' if any(mark in tag for mark in IMAGENET) else 'published'} {full_name}"
        if weights is not None and file.name != f"{full_name}.safetensors":
            origin = f"file {file.stem}"
    state = fitted(sketch(model, classes=0), state, where=where, model=model)
    refuse_known(digest_of(state), where, model)
    return origin, state


def _weights_2015(weights: str | None, weights_dir: Path | None) -> tuple[str, State, str]:
    """What the weights of the graph of 2015-12-05 are, their entries, and where they are.

    Raises:
        UserError: they cannot be had, or are those of another Inception.
    """
    file = INCEPTION_2015.fetch(weights_dir) if weights is None else Path(weights)
    if file.suffix != ".safetensors":
        state = read_pinned(file, INCEPTION_2015.sha256, f"Fetch {INCEPTION_2015.addresses[0]} again")
        return f"imagenet {INCEPTION_2015.model}", state, str(file)
    state = read_safetensors(file, INCEPTION_2015.model)
    outputs = len(state["fc.weight"]) if "fc.weight" in state else None
    if outputs != INCEPTION_2015.classes and not is_ours(file):
        raise UserError(
            f"backbone.weights: {file} has {f'a classifier of {outputs} outputs' if outputs else 'no classifier'}, and "
            f"the weights of {INCEPTION_2015.model} one of {INCEPTION_2015.classes}, by which they are told from those "
            "of inception_v3, of the same names and shapes. For these set backbone=inception_v3"
        )
    return f"file {file.stem}", state, str(file)


def look_up(model: str) -> PretrainedConfig:
    """What timm knows of a model.

    Raises:
        UserError: timm has no such model, or no such published weights (the part of the name after the point).
    """
    architecture = model.split(".", maxsplit=1)[0]
    if not timm.is_model(model):
        near = get_close_matches(architecture, timm.list_models(), n=3)
        raise UserError(
            f"backbone.model: timm has no model called {model!r}"
            + (f"; did you mean {' or '.join(near)}?" if near else "")
            + ". List them with: python -c \"import timm; print(timm.list_models('*resnet*'))\""
        )
    try:
        found = timm.models.get_pretrained_cfg(model, allow_unregistered=False)
    except RuntimeError as error:
        known = ", ".join(timm.list_pretrained(f"{architecture}.*")) or "none"
        raise UserError(f"backbone.model: timm knows no weights called {model!r}; it knows {known}") from error
    if found is None:
        raise UserError(
            f"backbone.model: timm publishes no settings of {model!r} (size, scaling); choose another model"
        )
    classifier = found.classifier or ()
    named = found.hf_hub_filename or ""
    filename = {"filename": named} if named.endswith(".safetensors") else {}
    full_name = f"{architecture}.{found.tag}" if found.tag else architecture
    return PretrainedConfig(
        published=Published(full_name, found.hf_hub_id or "", **filename),
        classifiers=(classifier,) if isinstance(classifier, str) else tuple(classifier),
        classes=int(found.num_classes or 0),
        size=int(found.input_size[-1]),
        mean=tuple(255 * float(value) for value in found.mean),
        deviation=tuple(255 * float(value) for value in found.std),
    )
