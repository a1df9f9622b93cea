"""From composed settings to typed objects, in two steps: all settings are checked, then what they name is loaded.

Checking imports no torch, MLflow, timm or SciPy, and reads no file, so that a wrong value is reported at once.
"""

import dataclasses
import difflib
import importlib
import json
import logging
import os
import tempfile
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast, get_args

from omegaconf import DictConfig, OmegaConf

from src.backbone import Backbone
from src.backbone.auto import Auto, Decision, decide
from src.backbone.vision import TimmBackbone
from src.data.dataset import DatasetSettings
from src.data.paths import Paths
from src.data.split import Split
from src.errors import UserError, redact
from src.features.pipeline import FeaturePipeline, ImageTransform
from src.features.preprocess import Preprocess
from src.head import Head, Trainer, resolve_standardize
from src.head.transfer import FineTune, Transfer, check_head
from src.spectrogram import Spectrogram
from src.tracking.store import TrackingSettings

if TYPE_CHECKING:
    from pydantic import TypeAdapter

    from src.experiment import Experiment

log = logging.getLogger(__name__)

T = TypeVar("T")

GROUPS = (
    "dataset",
    "preprocess",
    "spectrogram",
    "backbone",
    "head",
    "split",
    "trainer",
    "transfer",
    "tracking",
    "paths",
)
_SINGLE = ("seed", "workers", "force", "progress")


@dataclass(frozen=True)
class Choices:
    """A job's settings, checked; nothing is loaded.

    Attributes:
        backbone: settings of the backbone, `auto` undecided.
        workers: cores that extract features.
        seed: of the head, and of batches where the network is trained.
        scaling_of: kind of weights (`published`, `random`) whose entry of backbone.standardize_features decides whether
            the head scales features; None: the head decides, or does not mind.
        settings: the whole configuration as plain values; where the head leaves its scaling to the backbone, resolved.
    """

    dataset: DatasetSettings
    image_transform: ImageTransform
    backbone: Any
    head: Head
    split: Split
    trainer: Trainer
    transfer: Transfer
    paths: Paths
    tracking: TrackingSettings
    workers: int
    seed: int
    force: bool
    progress: bool
    scaling_of: str | None
    settings: dict[str, Any]

    @property
    def reads(self) -> frozenset[str]:
        """Which of `seed` and the trainer's settings change the bits of the result."""
        return self.head.reads | self.transfer.reads


def choices(settings: Mapping[str, Any], *, own: Collection[str] = ()) -> Choices:
    """Every setting of a job as an object that accepts its values.

    Args:
        settings: as `plain` gives them.
        own: further settings of the command at the top level.

    Raises:
        UserError: an unknown setting, a missing one, or one of the wrong type or value, named as `group.key`.
    """
    _check_names("", settings, (*GROUPS, *_SINGLE), optional=(*own, "experiment"))
    dataset = build("dataset", settings["dataset"], DatasetSettings)
    backbone = build("backbone", settings["backbone"], object)
    undecided = cast(Head, build("head", settings["head"], object))
    head = resolve_standardize(undecided, standardize(settings["backbone"]))
    scaling = {"standardize": head.standardize} if hasattr(head, "standardize") else {}
    transfer = cast(Transfer, build("transfer", settings["transfer"], object))
    return Choices(
        dataset=dataset,
        image_transform=image_transform(settings),
        backbone=backbone,
        head=head,
        split=build("split", settings["split"], Split),
        trainer=build("trainer", settings["trainer"], Trainer),
        transfer=transfer,
        paths=build("paths", settings["paths"], Paths),
        tracking=build("tracking", settings["tracking"], TrackingSettings),
        workers=workers(settings["workers"]),
        seed=parse_int("seed", settings["seed"]),
        force=parse_bool("force", settings["force"]),
        progress=parse_bool("progress", settings["progress"]),
        scaling_of=None if undecided == head else _kind_of_weights(settings["backbone"]),
        settings={**settings, "head": {**settings["head"], **scaling}},
    )


def check_together(found: Choices) -> None:
    """Refuse choices that are right each, but not together.

    Raises:
        UserError: a backbone or a head without layers is to be trained.
    """
    if not isinstance(found.transfer, FineTune):
        return
    if not isinstance(found.backbone, Auto | TimmBackbone):
        raise UserError(
            f"transfer=finetune: backbone={found.backbone.name} has no layers to train; use a network, e.g. "
            "backbone=efficientnet_lite0, or transfer=frozen"
        )
    check_head(found.head)


def experiment(cfg: DictConfig, decision: Path, *, own: Collection[str] = ()) -> "Experiment":
    """Everything one job needs.

    Args:
        decision: folder shared by the jobs of a sweep, where `backbone=auto` is decided once.
        own: see `choices`.

    Raises:
        UserError: as `choices`; or weights that cannot be had.
    """
    from src.experiment import Experiment

    chosen = choices(plain(cfg), own=own)
    uri = chosen.settings["tracking"]["uri"]
    if uri is not None:  # these settings are stored with the run
        chosen.settings["tracking"]["uri"] = redact(uri)
    settled = settle(chosen.settings["backbone"], Path(chosen.paths.weights), decision)
    return Experiment(
        dataset=chosen.dataset,
        head=chosen.head,
        split=chosen.split,
        trainer=chosen.trainer,
        transfer=chosen.transfer,
        paths=chosen.paths,
        workers=chosen.workers,
        seed=chosen.seed,
        settings=chosen.settings,
        settled=settled,
        pipeline=pipeline({**chosen.settings, "backbone": settled}, decision),
    )


def plain(cfg: DictConfig) -> dict[str, Any]:
    """The resolved configuration as plain values, without what only Hydra reads.

    Raises:
        UserError: a value that must be given is missing.
    """
    missing = sorted(str(key) for key in OmegaConf.missing_keys(cfg))
    if missing:
        raise UserError(f"{', '.join(missing)}: must be given, e.g. {missing[0]}=...")
    return cast(dict[str, Any], OmegaConf.to_container(cfg, resolve=True))


def build(group: str, settings: Mapping[str, Any], kind: type[T]) -> T:
    """The object that a group describes: its `_target_` with every value checked against the field's type.

    Raises:
        UserError: a value of the wrong type, or one the object refuses.
    """
    from pydantic import ValidationError

    target = described(settings)
    values = {key: value for key, value in settings.items() if key not in ("_target_", "standardize_features")}
    fields = {field.name: field.type for field in dataclasses.fields(target)}
    _check_names(group, values, fields)
    for key, value in values.items():
        if isinstance(value, bool) and bool not in (fields[key], *get_args(fields[key])):
            raise UserError(f"{group}.{key}: got {str(value).lower()}, which is neither a number nor a text")
    try:
        return cast(T, _adapter(target).validate_python(values))
    except ValidationError as error:
        told = "; ".join(_told(group, cast(Mapping[str, Any], e)) for e in error.errors())
        raise UserError(f"{told}. See `python -m src.train --help`") from error


@cache
def _adapter(target: Any) -> "TypeAdapter[Any]":
    from pydantic import TypeAdapter

    return TypeAdapter(target)


def _check_names(group: str, given: Collection[str], known: Collection[str], optional: Collection[str] = ()) -> None:
    """Refuse settings that nothing reads, and settings that were removed.

    Raises:
        UserError: names the setting, and those most like it.
    """
    before = f"{group}." if group else ""
    for name in sorted(set(given) - {*known, *optional}):
        alike = [before + near for near in difflib.get_close_matches(name, known, n=3)]
        way_out = f"did you mean {' or '.join(alike)}?" if alike else f"expected one of {', '.join(sorted(known))}"
        raise UserError(f"{before}{name}: there is no such setting; {way_out}")
    for name in sorted(set(known) - set(given)):
        raise UserError(f"{before}{name}: missing, and every setting needs a value; do not remove it with ~")


def described(settings: Mapping[str, Any]) -> Any:
    """The class that a group's `_target_` names.

    Raises:
        UserError: there is none of this name, as in the settings of a run of version 0.1.
    """
    module, _, name = str(settings["_target_"]).rpartition(".")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise UserError(
            f"{settings['_target_']}: there is no such class. A run of version 0.1 cannot be opened with this version; "
            "run its job again"
        ) from error


def _told(group: str, error: Mapping[str, Any]) -> str:
    """One value of the wrong type, as pydantic reports it."""
    name, value = f"{group}.{'.'.join(str(part) for part in error['loc'])}", error["input"]
    if error["type"] == "string_type" and isinstance(value, int | float):
        quoted = f"'{value}'" if len(error["loc"]) == 1 else f"['{value}',...]"
        return f'{name}={value}: a text that looks like a number needs quotes, "{group}.{error["loc"][0]}={quoted}"'
    return f"{name}={value!r}: {error['msg'].lower()}"


def standardize(backbone: Mapping[str, Any]) -> bool:
    """Whether features of this backbone are standardised where the head does not say (measured; see its YAML)."""
    found = dict(backbone["standardize_features"])
    _check_names("backbone.standardize_features", found, ("published", "random"))
    return {name: parse_bool(f"backbone.standardize_features.{name}", value) for name, value in found.items()}[
        _kind_of_weights(backbone)
    ]


def _kind_of_weights(backbone: Mapping[str, Any]) -> str:
    return "random" if backbone.get("weights") == "random" else "published"


def tracking(cfg: DictConfig) -> tuple[TrackingSettings, Path]:
    """Where runs are kept: the settings, and the folder of the embedded database."""
    return build("tracking", plain_group(cfg, "tracking"), TrackingSettings), Path(str(cfg.paths.tracking))


def plain_group(cfg: DictConfig, group: str) -> dict[str, Any]:
    """One group of the configuration as plain values, interpolations resolved."""
    return cast(dict[str, Any], OmegaConf.to_container(cfg[group], resolve=True))


def workers(value: object) -> int:
    """Threads to extract with: as set, or one per core that this process may use."""
    if value is None:
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    found = parse_int("workers", value)
    if found < 1:
        raise UserError(f"workers: got {value}; expected 1 or more, or null for one per core")
    return found


def parse_bool(name: str, value: object) -> bool:
    """A setting that is on or off.

    Raises:
        UserError: it is neither.
    """
    if not isinstance(value, bool):
        raise UserError(f"{name}: got {value!r}; expected true or false")
    return value


def parse_int(name: str, value: object) -> int:
    """A whole number of at least 0.

    Raises:
        UserError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UserError(f"{name}: got {value!r}; expected a whole number, 0 or more")
    return value


def parse_seconds(name: str, value: object) -> float | None:
    """A length in seconds, above 0; None where none is given.

    Raises:
        UserError: it is no number, or not above 0.
    """
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < float("inf"):
        raise UserError(f"{name}={value}: expected seconds above 0")
    return float(value)


def image_transform(settings: Mapping[str, Any]) -> ImageTransform:
    """How a waveform becomes a picture under these settings."""
    dataset = build("dataset", settings["dataset"], DatasetSettings)
    return ImageTransform(
        window=dataset.cut,
        mono=dataset.mono,
        preprocess=build("preprocess", settings["preprocess"], Preprocess),
        spectrogram=cast(Spectrogram, build("spectrogram", settings["spectrogram"], object)),
    )


def pipeline(settings: Mapping[str, Any], decision: Path) -> FeaturePipeline:
    """How a file becomes features under these settings; the backbone is loaded.

    Args:
        decision: folder shared by the jobs of a sweep, where `backbone=auto` is decided once.
    """
    folder = Path(build("paths", settings["paths"], Paths).weights)
    drawn, threads = image_transform(settings), workers(settings["workers"])
    loaded = backbone(settings["backbone"], folder, decision, threads)
    if loaded.input == "picture":
        drawn.spectrogram.load()
    return FeaturePipeline(drawn, loaded)


def backbone(settings: Mapping[str, Any], weights: Path, decision: Path, threads: int) -> Backbone:
    """The backbone, loaded; within a process each is loaded once.

    Args:
        weights: folder of weight files. decision: folder where a sweep keeps what `auto` came to.
    """
    return _loaded(build("backbone", settle(settings, weights, decision), object), weights, threads)


def check_backbone(cfg: DictConfig, decision: Path) -> None:
    """Raise what loading the backbone of a configuration would raise, without building the network.

    Args:
        decision: folder shared by the jobs of a sweep, where `backbone=auto` is decided once.

    Raises:
        UserError: a setting is wrong, the weights are missing, damaged or another network's, or this machine lacks the
            engine.
    """
    if OmegaConf.missing_keys(cfg.backbone):
        return  # the job itself reports what must be given
    weights = Path(str(cfg.paths.weights))
    chosen: Any = build("backbone", settle(plain_group(cfg, "backbone"), weights, decision), object)
    if isinstance(chosen, TimmBackbone):
        chosen.check(weights)


def settle(settings: Mapping[str, Any], weights: Path, decision: Path) -> dict[str, Any]:
    """Settings of a backbone, checked; of the one that `auto` came to, where it is `auto`.

    Args:
        weights: folder of weight files. decision: folder where a sweep keeps what `auto` came to.
    """
    chosen: Any = build("backbone", settings, object)
    if isinstance(chosen, Auto):
        chosen = chosen.settle(_decided(chosen.weights, weights, decision))
    kind = type(chosen)
    return {"_target_": f"{kind.__module__}.{kind.__qualname__}", **dataclasses.asdict(chosen)}


@cache
def _loaded(settings: Any, weights: Path, threads: int) -> Backbone:
    return cast(Backbone, settings.load(weights, threads))


def _decided(weights: str | None, folder: Path, decision: Path) -> Decision:
    """What `auto` means, decided by the first job that asks and read by all others."""
    path = decision / "auto.json"
    with suppress(FileNotFoundError):
        return _decision(path)
    found = decide(weights, folder, allow_network=True)
    decision.mkdir(parents=True, exist_ok=True)
    content = {"config": found.config, "weights": found.weights and str(found.weights), "warning": found.warning}
    if not _first(path, json.dumps(content)):
        return _decision(path)
    if found.warning:
        log.warning("%s", found.warning)
    return found


def _first(path: Path, content: str) -> bool:
    """Write a file unless it is there; whole or not at all."""
    with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
        file.write(content)
    try:
        os.link(file.name, path)
    except FileExistsError:
        return False
    finally:
        Path(file.name).unlink()
    return True


def _decision(path: Path) -> Decision:
    content = json.loads(path.read_text())
    weights = content["weights"]
    return Decision(content["config"], None if weights is None else Path(weights), content["warning"])
