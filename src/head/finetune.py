"""Squashed pictures of clips on disk, a file each, so that training reads what a batch needs and holds no more."""

import hashlib
import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock
from jaxtyping import UInt8
from safetensors import SafetensorError
from safetensors.torch import load
from safetensors.torch import save as saved
from torch import Tensor

from src.backbone import Backbone
from src.backbone.frozen import FrozenNetwork
from src.backbone.network import last
from src.data.audio import decode
from src.data.clip import Clip
from src.data.files import open_regular
from src.data.parts import Part
from src.data.writing import write_atomically
from src.errors import UserError, printable
from src.features.cache import digest_of
from src.features.labelled import LabelledFeatures, Runtime
from src.features.pipeline import FeaturePipeline
from src.features.workers import prepared
from src.head import FittedHead, MetricLogger, Trainer
from src.head.finetune_training import FineTuning, Seen, Trained, train
from src.head.network import FittedNetwork
from src.head.training import Layers
from src.head.transfer import NETWORK, FineTune

log = logging.getLogger(__name__)

_CHECK = 32  # bytes of SHA-256 before the pixels
Image = UInt8[np.ndarray, "channels size size"]


@dataclass(frozen=True)
class Pictures:
    """Pictures of one pipeline below a cache's folder, by the audio's digest; whatever network they are for.

    Attributes:
        folder: of this pipeline. pipeline: how they are made. network: squashes them.
    """

    folder: Path
    pipeline: FeaturePipeline
    network: FrozenNetwork

    @classmethod
    def of(cls, cache: Path, pipeline: FeaturePipeline, network: FrozenNetwork) -> "Pictures":
        """Open (without creating) those of a pipeline below `cache`."""
        key: dict[str, Any] = {**pipeline.key(), "backbone": network.pixels_key}
        return cls(cache / "pictures" / digest_of(key), pipeline, network)

    def complete(
        self, clips: Mapping[str, Clip], workers: int, progress: Callable[[int, int], None] | None = None
    ) -> None:
        """Make those that are not there, or damaged; processes that need the same ones wait for each other.

        Args:
            clips: by the digest of their audio. workers: processes or threads. progress: told (done, to be done).

        Raises:
            OSError: the place is full or cannot be written.
            UserError: a file cannot be read, or is not the one whose digest is given.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        with FileLock(self.folder / ".lock"):
            missing = [(digest, (digest, clips[digest])) for digest in clips if self._read(digest) is None]
            with prepared(self._make, missing, workers=workers, count=len(missing)) as results:
                for done, (_, error) in enumerate(results, start=1):
                    if error is not None:
                        raise error
                    if progress is not None:
                        progress(done, len(missing))

    def of_clip(self, digest: str) -> Image:
        """One picture, made before."""
        found = self._read(digest)
        if found is None:
            raise FileNotFoundError(f"{self._path(digest)}: removed or damaged while it was in use")
        return found

    def _path(self, digest: str) -> Path:
        return self.folder / f"{digest}.pixels"

    def _make(self, item: tuple[str, Clip]) -> None:
        digest, clip = item
        waveform, _ = decode(clip.path, clip.cut(self.pipeline.window))
        with open_regular(clip.path) as file:
            if clip.content(hashlib.file_digest(file, "sha256").hexdigest()) != digest:
                raise UserError(f"{printable(clip.path)}: it changed after it was listed; run the same again")
        pixels = self.network.pixels(self.pipeline.image_transform.picture(waveform)).tobytes()
        write_atomically(self._path(digest), hashlib.sha256(pixels).digest() + pixels)

    def _read(self, digest: str) -> Image | None:
        with suppress(OSError):
            content = self._path(digest).read_bytes()
            if hashlib.sha256(content[_CHECK:]).digest() == content[:_CHECK]:
                size = self.network.pixels_key["size"]
                found: Image = np.frombuffer(content, np.uint8, offset=_CHECK).reshape(-1, size, size)
                return found
            log.warning("%s: damaged; made again", self._path(digest))
        return None


# Of a seed's streams, the head takes the first three.
_STREAM = 3


@dataclass(frozen=True, eq=False)
class Tuned:
    """What came of it: the network, frozen again, its head, and the network's weights."""

    network: FrozenNetwork
    head: FittedNetwork
    state: dict[str, Tensor]


def tunable(backbone: Backbone) -> FrozenNetwork:
    """The backbone, once known to be a network.

    Raises:
        UserError: it has no layers to train.
    """
    if isinstance(backbone, FrozenNetwork):
        return backbone
    raise UserError(
        f"transfer=finetune: backbone={backbone.name} has no layers to train; use a network, e.g. "
        "backbone=efficientnet_lite0, or transfer=frozen"
    )


def finetune(
    settings: FineTune,
    pipeline: FeaturePipeline,
    material: LabelledFeatures,
    head: FittedHead,
    *,
    seed: int,
    trainer: Trainer,
    place: Runtime,
    logger: MetricLogger,
) -> Tuned:
    """Train the network with the head, starting from both as they are.

    Args:
        material: whose training clips are learned from; its validation clips draw the curve, its test clips take no
            part. head: fitted to the frozen features. seed: of the batches.

    Raises:
        UserError: the head has no layers, the network too few blocks, or the loss did not stay finite.
    """
    network = tunable(pipeline.backbone)
    if not isinstance(head, FittedNetwork):
        raise UserError(
            f"transfer=finetune: head={head.kind} has no layers that could be trained with the network; use "
            "head=linear, mlp or logistic, or transfer=frozen"
        )
    built = network.copy()
    names = [name for name, _ in built.module.named_parameters()]
    if isinstance(settings.blocks, int):
        names = last(built.module, network.name, settings.blocks)
    start = list(zip(head.weights, head.biases, strict=True))
    layers = Layers(start, activation=head.activation, dropout=0.0, dropout_seed=0)
    told = place.progress(f"{material.dataset.name}: fine-tuning")
    module = FineTuning(Trained(built.module, network.scaling, head.scaling, layers), settings, names, told)
    pictures = Pictures.of(place.cache, pipeline, network)
    learned, validated = (_seen(material, part, pictures, place) for part in ("train", "validation"))
    rng = np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(_STREAM,)))
    train(module, learned, validated, rng, trainer, logger)
    state = {name: value.contiguous() for name, value in built.module.state_dict().items()}
    weights, biases = zip(*layers.arrays(), strict=True)
    tuned = FittedNetwork(head.kind, head.scaling, weights, biases, head.activation, head.warnings)
    return Tuned(network.tuned(state), tuned, state)


def _seen(material: LabelledFeatures, part: Part, pictures: Pictures, place: Runtime) -> Seen:
    """Clips of one part, their pictures ready on disk."""
    chosen = material.where(part)
    extraction = material.extraction
    digests = [extraction.digests[i] for i in chosen]
    told = place.progress(f"{material.dataset.name}: pictures")
    pictures.complete({extraction.digests[i]: extraction.clips[i] for i in chosen}, place.workers, told)
    return Seen(lambda position: pictures.of_clip(digests[position]), material.labels[chosen])


def save(tuned: Tuned, folder: Path) -> None:
    """Write the network's weights as `NETWORK`."""
    # as bytes: the library's own file would be readable for its owner alone
    (folder / NETWORK).write_bytes(saved(tuned.state))


def restored(pipeline: FeaturePipeline, network: bytes, began_with: str) -> FeaturePipeline:
    """A pipeline with the fine-tuned network that a run stored.

    Args:
        pipeline: of the same architecture, whatever its weights. network: content of `NETWORK`.
        began_with: the weights that the tuning started from, in words.

    Raises:
        UserError: it is damaged, or of another architecture.
    """
    try:
        state = load(network)
    except SafetensorError as error:
        raise UserError(f"{NETWORK}: damaged ({error})") from error
    return replace(pipeline, backbone=tunable(pipeline.backbone).tuned(state, began_with))
