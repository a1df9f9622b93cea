"""Where the weights of a network are: a file given by hand, a folder, the hub's cache, or the hub."""

from dataclasses import dataclass
from pathlib import Path

from src.backbone import hub, inception_2015
from src.errors import UserError

RANDOM = "random"
LITE0 = "tf_efficientnet_lite0"  # timm's name of the network whose weights a package brings
PICKLES = (".pth", ".pt", ".bin", ".pkl", ".pickle", ".ckpt", ".tar")


def table_name(model: str) -> str:
    """A network as tables name it: timm's name without that of the weights, and without `tf_` where it is Lite0."""
    architecture = model.partition(".")[0]
    return architecture.removeprefix("tf_") if architecture == LITE0 else architecture


@dataclass(frozen=True)
class Published:
    """Where the weights of one of timm's models are published.

    Attributes:
        model: timm's full name, with that of the weights after the point.
        repository: on the hub; empty: they are not there.
        filename: in that repository.
    """

    model: str
    repository: str
    filename: str = "model.safetensors"


INCEPTION = Published("inception_v3.tf_in1k", "timm/inception_v3.tf_in1k")


def local(published: Published, weights_dir: Path | None) -> Path | None:
    """The file on this machine, if there is one: `<model>.safetensors` in the folder, or in the hub's cache."""
    beside = weights_dir / f"{published.model}.safetensors" if weights_dir else None
    if beside is not None and beside.is_file():
        return beside
    return hub.cached(published.repository, published.filename) if published.repository else None


def fetch(published: Published, weights_dir: Path | None) -> Path:
    """The file, from this machine or else from the hub.

    Raises:
        UserError: it cannot be had; says within seconds what to do.
    """
    file = local(published, weights_dir)
    if file is not None:
        return file
    if not published.repository:
        raise UserError(
            f"backbone.weights: timm publishes no weights of {published.model} on the hub; give backbone.weights=PATH "
            "of a .safetensors file, or backbone.weights=random for a control with random weights"
        )
    place = (weights_dir or Path("weights")) / f"{published.model}.safetensors"
    by_hand = (
        f"download {published.filename} of {published.repository} from the Hugging Face hub, copy it to {place} "
        f"and give backbone.weights={place}"
    )
    if hub.reachable(published.repository, published.filename):
        try:
            return hub.download(published.repository, published.filename)
        except Exception as error:  # the client raises its own kinds where a connection breaks
            raise UserError(
                f"backbone.weights: fetching the weights of {published.model} from the Hugging Face hub broke off "
                f"({type(error).__name__}: {error}). Try again, or {by_hand}"
            ) from error
    state = "is switched off (HF_HUB_OFFLINE)" if hub.offline() else "does not answer, or does not have them"
    raise UserError(
        f"backbone.weights: the weights of {published.model} are not on this machine, and the Hugging Face hub "
        f"{state}. On a machine with a network, {by_hand}. Without them: backbone=efficientnet_lite0, whose weights "
        "come with the installation, or backbone.weights=random as a control"
    )


def check_name(file: Path) -> None:
    """Accept only the name of a .safetensors file: a pickle can run any code when it is read.

    Raises:
        UserError: any other name, with how to convert the file; or the published file of Inception's graph of 2015.
    """
    inception_2015.refuse(file)
    if file.suffix == ".safetensors":
        return
    if file.suffix in PICKLES:
        raise UserError(
            f"backbone.weights: {file} is a pickle, which can run any code when it is read, so it is refused. For the "
            f"paper's network download {INCEPTION.filename} of {INCEPTION.repository} from the Hugging Face hub. If "
            "you trust the file, convert it: import torch; from safetensors.torch import save_file; "
            f"save_file(torch.load({str(file)!r}, weights_only=True), {str(file.with_suffix('.safetensors'))!r})"
        )
    raise UserError(
        f"backbone.weights: got {str(file)!r}; expected null (the published weights), random, or the path of a "
        ".safetensors file"
    )
