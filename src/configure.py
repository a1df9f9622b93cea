"""The door between configuration and code: composed settings in, typed objects out."""

import dataclasses
import importlib
import json
import logging
import os
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, TypeVar, cast, get_args

from omegaconf import DictConfig, OmegaConf

from src.backbone import Backbone
from src.backbone.auto import Auto, Decision, decide
from src.data.dataset import DatasetSettings
from src.data.split import Split
from src.errors import UserError
from src.experiment import Experiment, Paths
from src.head import Head, Trainer, resolve_standardize
from src.preprocess import Preprocess
from src.recipe import Drawing, Recipe
from src.redaction import redact
from src.spectrogram import Spectrogram
from src.tracking import TrackingSettings
from src.transfer import Transfer

log = logging.getLogger(__name__)

T = TypeVar("T")


def experiment(cfg: DictConfig, decision: Path) -> Experiment:
    """Everything one job needs.

    Args:
        decision: folder shared by the jobs of a sweep, where `backbone=auto` is decided once.

    Raises:
        UserError: a setting of the wrong type or value, named as `group.key`; weights that cannot be had.
    """
    settings = plain(cfg)
    if settings["tracking"]["uri"] is not None:  # these settings are stored with the run
        settings["tracking"]["uri"] = redact(settings["tracking"]["uri"])
    dataset = build("dataset", settings["dataset"], DatasetSettings)
    paths = build("paths", settings["paths"], Paths)
    head = resolve_standardize(cast(Head, build("head", settings["head"], object)), standardize(settings["backbone"]))
    settings["head"] |= {key: getattr(head, key) for key in ("standardize",) if hasattr(head, key)}
    split, trainer = build("split", settings["split"], Split), build("trainer", settings["trainer"], Trainer)
    transfer = cast(Transfer, build("transfer", settings["transfer"], object))
    threads, seed = workers(settings["workers"]), whole("seed", settings["seed"])
    settled = settle(settings["backbone"], Path(paths.weights), decision)
    return Experiment(
        dataset=dataset,
        head=head,
        split=split,
        trainer=trainer,
        transfer=transfer,
        paths=paths,
        workers=threads,
        seed=seed,
        settings=settings,
        settled=settled,
        recipe=recipe({**settings, "backbone": settled}, decision),  # last: weights are loaded once all is in order
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
    from pydantic import TypeAdapter, ValidationError

    target = described(settings)
    values = {key: value for key, value in settings.items() if key not in ("_target_", "standardize_features")}
    fields = {field.name: field.type for field in dataclasses.fields(target)}
    if set(values) != set(fields):
        raise UserError(
            f"{group}: unknown settings {sorted(set(values) - set(fields))}, missing "
            f"{sorted(set(fields) - set(values))}; {target.__name__} takes {', '.join(sorted(fields))}"
        )
    for key, value in values.items():
        if isinstance(value, bool) and bool not in (fields[key], *get_args(fields[key])):
            raise UserError(f"{group}.{key}: got {str(value).lower()}, which is neither a number nor a text")
    try:
        return cast(T, TypeAdapter(target).validate_python(values))
    except ValidationError as error:
        told = "; ".join(_told(group, cast(Mapping[str, Any], e)) for e in error.errors())
        raise UserError(f"{told}. See `python -m src.train --help`") from error


def described(settings: Mapping[str, Any]) -> Any:
    """The class that a group's `_target_` names."""
    module, _, name = str(settings["_target_"]).rpartition(".")
    return getattr(importlib.import_module(module), name)


def _told(group: str, error: Mapping[str, Any]) -> str:
    """One value of the wrong type, as pydantic reports it."""
    name, value = f"{group}.{'.'.join(str(part) for part in error['loc'])}", error["input"]
    if error["type"] == "string_type" and isinstance(value, int | float):
        quoted = f"'{value}'" if len(error["loc"]) == 1 else f"['{value}',...]"
        return f'{name}={value}: a text that looks like a number needs quotes, "{group}.{error["loc"][0]}={quoted}"'
    return f"{name}={value!r}: {error['msg'].lower()}"


def standardize(backbone: Mapping[str, Any]) -> bool:
    """Whether features of this backbone are standardised where the head does not say (measured; see its YAML)."""
    kind = "random" if backbone.get("weights") == "random" else "published"
    return bool(backbone["standardize_features"][kind])


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
    found = whole("workers", value)
    if found < 1:
        raise UserError(f"workers: got {value}; expected 1 or more, or null for one per core")
    return found


def truth(name: str, value: object) -> bool:
    """A setting that is on or off.

    Raises:
        UserError: it is neither.
    """
    if not isinstance(value, bool):
        raise UserError(f"{name}: got {value!r}; expected true or false")
    return value


def whole(name: str, value: object) -> int:
    """A whole number of at least 0.

    Raises:
        UserError: it is none.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise UserError(f"{name}: got {value!r}; expected a whole number, 0 or more")
    return value


def drawing(settings: Mapping[str, Any]) -> Drawing:
    """How a waveform becomes a picture under these settings."""
    dataset = build("dataset", settings["dataset"], DatasetSettings)
    return Drawing(
        window=dataset.window,
        mono=dataset.mono,
        preprocess=build("preprocess", settings["preprocess"], Preprocess),
        spectrogram=cast(Spectrogram, build("spectrogram", settings["spectrogram"], object)),
    )


def recipe(settings: Mapping[str, Any], decision: Path) -> Recipe:
    """How a file becomes features under these settings; the backbone is loaded.

    Args:
        decision: folder shared by the jobs of a sweep, where `backbone=auto` is decided once.
    """
    folder = Path(build("paths", settings["paths"], Paths).weights)
    threads = workers(settings["workers"])
    return Recipe(drawing(settings), backbone(settings["backbone"], folder, decision, threads))


def backbone(settings: Mapping[str, Any], weights: Path, decision: Path, threads: int) -> Backbone:
    """The backbone, loaded; within a process each is loaded once.

    Args:
        weights: folder of weight files. decision: folder where a sweep keeps what `auto` came to.
    """
    return _loaded(build("backbone", settle(settings, weights, decision), object), weights, threads)


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
