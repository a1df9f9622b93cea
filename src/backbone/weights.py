"""Where the weights of a network are: a file given by hand, a folder, the hub's cache, or the hub."""

import hashlib
import os
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from threading import Thread

import huggingface_hub
import requests
from huggingface_hub import constants

from src.data.download import download
from src.errors import UserError

PATIENCE = 3.0  # seconds the hub has to answer; its own client retries for 23 s, or minutes, where there is no network

constants.HF_HUB_DISABLE_TELEMETRY = True


def offline() -> bool:
    """Whether HF_HUB_OFFLINE (or TRANSFORMERS_OFFLINE) forbids the network."""
    said = os.environ.get("HF_HUB_OFFLINE") or os.environ.get("TRANSFORMERS_OFFLINE") or ""
    return said.upper() in {"1", "ON", "YES", "TRUE"}


def cached(repository: str, filename: str) -> Path | None:
    """The file in the hub's local cache, if an earlier download left it there."""
    found = huggingface_hub.try_to_load_from_cache(repository, filename)
    return Path(found) if isinstance(found, str) else None


def reachable(repository: str, filename: str) -> bool:
    """Whether the hub says within `PATIENCE` seconds that it has the file."""
    return not offline() and _answers(
        lambda: huggingface_hub.get_hf_file_metadata(huggingface_hub.hf_hub_url(repository, filename), timeout=PATIENCE)
    )


def _answers(ask: Callable[[], object]) -> bool:
    """Whether a question is answered within `PATIENCE` seconds without an error.

    It is asked in a thread of its own, since resolving a host's name knows no time limit.
    """
    answer: Future[bool] = Future()

    def run() -> None:
        try:
            ask()
            answer.set_result(True)
        except Exception:  # whatever it is, the answer is no
            answer.set_result(False)

    Thread(target=run, daemon=True, name="hub").start()
    try:
        return answer.result(PATIENCE)
    except TimeoutError:
        return False


def download_from_hub(repository: str, filename: str) -> Path:
    """Fetch the file into the hub's local cache; raises whatever the client raises where the connection breaks."""
    return Path(huggingface_hub.hf_hub_download(repository, filename, etag_timeout=PATIENCE))


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


@dataclass(frozen=True)
class PinnedFile:
    """A file of weights that is read only if it is byte for byte the published one, since it is a pickle.

    Attributes:
        model: the name of its network here.
        name: of the file, also in the folder of weights.
        addresses: where it is published.
        size: in bytes.
        sha256: 64 hexadecimal digits.
        classes: outputs of its classifier.
    """

    model: str
    name: str
    addresses: tuple[str, ...]
    size: int
    sha256: str
    classes: int

    def is_there(self, file: Path) -> bool:
        """Whether a file is the published one."""
        try:
            if file.stat().st_size != self.size:
                return False
            with file.open("rb") as content:
                return hashlib.file_digest(content, "sha256").hexdigest() == self.sha256
        except OSError:
            return False

    def fetch(self, weights_dir: Path | None) -> Path:
        """The file in the folder of weights, downloaded if it is not there.

        Raises:
            UserError: it is another file, or cannot be had.
        """
        file = (weights_dir or Path("weights")) / self.name
        if not file.exists() and offline():
            raise UserError(
                f"backbone.weights: {file} is not there, and downloads are switched off (HF_HUB_OFFLINE). On a machine "
                f"with a network, fetch {self.addresses[0]} and copy it there. Without it: "
                "backbone=efficientnet_lite0, whose weights come with the installation"
            )
        return download(self.addresses, file, sha256=self.sha256, size=self.size, retries=1, timeout=PATIENCE)

    def reachable(self) -> bool:
        """Whether a server says within `PATIENCE` seconds that it has the file."""
        return not offline() and _answers(
            lambda: requests.head(self.addresses[0], allow_redirects=True, timeout=PATIENCE).raise_for_status()
        )


INCEPTION_2015 = PinnedFile(
    model="inception_2015",
    name="pt_inception-2015-12-05-6726825d.pth",
    addresses=(
        "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/pt_inception-2015-12-05-6726825d.pth",
        "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    ),
    size=95_628_359,
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    classes=1008,  # other weights of Inception v3 have 1000 or 1001
)
DATE = "2015-12-05"  # in the name of the published graph and of its conversions


def refuse_inception_2015(file: Path, outputs: int | None = None) -> None:
    """Refuse its weights wherever they can be recognised: by name, by digest, or by the classifier's size.

    Args:
        file: may be missing.
        outputs: of the classifier in the file; None: not known.

    Raises:
        UserError: these are its weights.
    """
    if DATE in file.name:
        sign = "its name says so"
    elif outputs == INCEPTION_2015.classes:
        sign = f"its classifier has {outputs} outputs"
    elif INCEPTION_2015.is_there(file):
        sign = f"its SHA-256 is {INCEPTION_2015.sha256[:8]}..."
    else:
        return
    raise UserError(
        f"backbone.weights: {file} holds the weights of Inception's graph of {DATE} ({sign}). They would load into "
        "timm's inception_v3, which pools differently, and give wrong features. Set backbone=inception_2015"
    )


def local(published: Published, weights_dir: Path | None) -> Path | None:
    """The file on this machine, if there is one: `<model>.safetensors` in the folder, or in the hub's cache."""
    beside = weights_dir / f"{published.model}.safetensors" if weights_dir else None
    if beside is not None and beside.is_file():
        return beside
    return cached(published.repository, published.filename) if published.repository else None


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
    if reachable(published.repository, published.filename):
        try:
            return download_from_hub(published.repository, published.filename)
        except Exception as error:  # the client raises its own kinds where a connection breaks
            raise UserError(
                f"backbone.weights: fetching the weights of {published.model} from the Hugging Face hub broke off "
                f"({type(error).__name__}: {error}). Try again, or {by_hand}"
            ) from error
    state = "is switched off (HF_HUB_OFFLINE)" if offline() else "does not answer, or does not have them"
    raise UserError(
        f"backbone.weights: the weights of {published.model} are not on this machine, and the Hugging Face hub "
        f"{state}. On a machine with a network, {by_hand}. Without them: backbone=efficientnet_lite0, whose weights "
        "come with the installation, or backbone.weights=random as a control"
    )


def check_name(file: Path, model: str = "") -> None:
    """Accept only the name of a .safetensors file: a pickle can run any code when it is read.

    Args:
        file: of weights.
        model: of the network; the published file of `inception_2015` is accepted for that one.

    Raises:
        UserError: any other name, with how to convert the file; or the published file of Inception's graph of 2015.
    """
    if model == INCEPTION_2015.model:
        if file.suffix == ".safetensors" or file.suffix == Path(INCEPTION_2015.name).suffix:
            return
    else:
        refuse_inception_2015(file)
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
