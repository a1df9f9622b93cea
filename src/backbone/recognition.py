"""Weights files that fit a network by names and shapes, and yet belong to another one.

timm has many groups of networks whose weights have the same names and shapes, and which compute different functions:
`efficientnet_b0` and `tf_efficientnet_b0` pad differently, and CLIP's `quickgelu` variants have another activation.
What a file says of itself is therefore compared with the network that it is loaded into. A file that says nothing, and
is not known here, cannot be told apart.
"""

import json
import re
from pathlib import Path
from typing import Any

import timm
from timm.models import get_deprecated_models

from src.backbone.weights import INCEPTION, LITE0, refuse_inception_2015
from src.errors import UserError

# Digests (see `state.digest`) of published weights, and the one architecture that they belong to.
KNOWN = {"9329dfae357fdc2b2b9e35c2f03c9603c50768b8842423f75bdb633936390e1f": LITE0}


def refuse_other_network(file: Path, model: str, outputs: int | None, classes: int) -> None:
    """Refuse a file that says of itself that it belongs to another network than the one it is to be loaded into.

    It says so by its name (`<timm's name>.safetensors`), or, as `model.safetensors`, by the hub's `config.json` beside
    it. A file under the name of published weights must have a classifier of as many outputs as these have.

    Args:
        file: the weights.
        model: timm's full name of the network, with that of the published weights after the point.
        outputs: of the classifier in the file; None: it has none, or one of another layout.
        classes: of the published weights; 0: they have no classifier.

    Raises:
        UserError: it does.
    """
    architecture = model.partition(".")[0]
    if architecture == INCEPTION.model.partition(".")[0]:
        refuse_inception_2015(file, outputs)
    claimed, source = _claim(file)
    if claimed and claimed.partition(".")[0] != architecture:
        raise UserError(
            f"backbone.weights: {file} holds weights of {claimed}, as {source} says, and backbone.model is {model}. "
            "Weights of the same names and shapes can give different features in different networks: set backbone=timm "
            f"backbone.model={claimed}, or rename the file if its name is wrong"
        )
    if claimed != model and "." in claimed and timm.is_model_pretrained(claimed):
        raise UserError(
            f"backbone.weights: {file} holds the weights {claimed}, as {source} says, and backbone.model is {model}, "
            f"whose pixel values may be scaled differently: set backbone=timm backbone.model={claimed}"
        )
    if claimed == model and classes and outputs not in (None, classes):
        raise UserError(
            f"backbone.weights: {file} has a classifier of {outputs} outputs, and the published weights {model} have "
            f"{classes}: this is not the published file. Fetch that one, or give this file a name of its own and set "
            "backbone.weights to its path"
        )


def refuse_known(digest: str, where: str, model: str) -> None:
    """Refuse weights that are known to belong to one architecture, under any name, where another was chosen.

    Raises:
        UserError: they are.
    """
    owner = KNOWN.get(digest)
    if owner is not None and owner != model.partition(".")[0]:
        raise UserError(
            f"backbone.weights: {where} holds the published weights of {owner}; {model} would compute wrong features "
            f"with them. Set backbone=timm backbone.model={owner}"
        )


def _claim(file: Path) -> tuple[str, str]:
    """The name, as in timm, of the network that a file says it belongs to, and where it says so; empty: nowhere."""
    config = file.with_name("config.json")
    if file.stem == "model" and config.is_file():
        try:
            content: dict[str, Any] = json.loads(config.read_bytes())
            architecture, tag = str(content["architecture"]), content.get("pretrained_cfg", {}).get("tag")
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return "", ""
        return f"{architecture}.{tag}" if tag else architecture, str(config)
    name = re.sub(r"-[0-9a-f]{8}$", "", file.stem)  # timm's older releases end with a part of the digest
    if not timm.is_model(name):
        return "", ""
    return get_deprecated_models().get(name) or name, "its name"
