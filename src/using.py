"""The door for every command that uses a finished run: which run is meant, and its model."""

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from src import configure
from src.backbone.weights import table_name
from src.data import folder
from src.errors import UserError
from src.recipe import Recipe
from src.report.naming import transfer_of
from src.tracking import RunRecord, Store, as_params
from src.trained.loading import load
from src.trained.model import TrainedModel

log = logging.getLogger(__name__)

BEST = "best"
VALIDATION = "validation/accuracy"
_GROUPS = ("dataset", "preprocess", "spectrogram", "backbone", "head", "split", "transfer")
_FULL_LENGTH = 32


def open_model(cfg: DictConfig) -> TrainedModel:
    """The model of the run that `cfg` means.

    Raises:
        UserError: no such run, or its model cannot be had here exactly as it was.
    """
    run = find_run(cfg)
    return load(run, store(cfg), lambda settings: _recipe(cfg, settings), exact=configure.truth("exact", cfg.exact))


def store(cfg: DictConfig) -> Store:
    """Where runs are; nothing is created.

    Raises:
        UserError: there are none yet.
    """
    settings, where = configure.tracking(cfg)
    place = where / "mlflow.db" if settings.uri is None else Path(settings.uri.removeprefix("sqlite:///"))
    if (settings.uri or "sqlite:///").startswith("sqlite:///") and not place.exists():
        raise UserError(
            f"{place}: no such database of runs. Run this where the runs were made, or say where it is with "
            "paths.tracking=FOLDER or tracking.uri=..."
        )
    return Store(settings, where)


def find_run(cfg: DictConfig) -> RunRecord:
    """The run that `run=RUN_ID` (or the beginning of one) names, or the best of those that were asked for.

    `run=best` takes, of the finished runs with the choices given (`dataset=composer preprocess=normalized ...`), the
    one of highest validation accuracy; of equals the newest. Test accuracy has no say.

    Raises:
        UserError: there is none, or several are meant.
    """
    runs, wanted = store(cfg), _named(cfg)
    if wanted == BEST:
        return _best(cfg, runs)
    chosen = [word for word in _typed(cfg) if word.partition("=")[0].partition(".")[0] in (*_GROUPS, "seed", "origin")]
    if chosen:
        raise UserError(f"run={wanted}: it has its own settings; leave {' '.join(chosen)} out, or say run={BEST}")
    found = runs.get(wanted) if len(wanted) == _FULL_LENGTH else None
    begun = [found] if found else [run for run in runs.runs() if run.run_id.startswith(wanted)]
    if len(begun) == 1:
        return begun[0]
    if not begun:
        raise UserError(
            f"run={wanted}: no run of the experiment {runs.experiment!r} begins like this; runs are listed by "
            "`make ui`, and each job of src.train names its own"
        )
    listed = ", ".join(run.run_id for run in begun[:4])
    raise UserError(f"run={wanted}: {len(begun)} runs begin like this ({listed}...); give more of it")


def _named(cfg: DictConfig) -> str:
    """The run as typed: what Hydra makes of 7000e346 is a number, and infinite."""
    typed = [word.partition("=")[2].strip("'\"") for word in _typed(cfg) if word.startswith("run=")]
    return typed[-1] if typed and typed[-1].isalnum() else str(cfg.run)


def _best(cfg: DictConfig, runs: Store) -> RunRecord:
    asked = _asked(cfg)
    finished = [run for run in runs.runs("attributes.status = 'FINISHED'") if _fits(run, asked)]
    measured = [run for run in finished if VALIDATION in run.metrics]
    told = " ".join(f"{key}={value}" for key, value in asked.items()) or "any settings"
    if not measured:
        why = "none of them has a validation accuracy; name one with run=RUN_ID" if finished else "there is none"
        raise UserError(f"run={BEST}: of {len(finished)} finished runs with {told}, {why}")
    datasets = sorted({run.tags.get("dataset", "?") for run in measured})
    if len(datasets) > 1:
        raise UserError(f"run={BEST}: runs of several datasets fit ({', '.join(datasets)}); say which with dataset=...")
    best = max(measured, key=lambda run: (run.metrics[VALIDATION], run.started))
    log.info(
        "run %s (%s): validation accuracy %.3f, the best of %d", best.run_id, best.name,
        best.metrics[VALIDATION], len(measured),
    )  # fmt: skip
    return best


def _typed(cfg: DictConfig) -> list[str]:
    """The words of the command line."""
    hydra = HydraConfig.get() if HydraConfig.initialized() else cfg.get("hydra")
    words = [] if hydra is None else cast(list[str], OmegaConf.to_container(hydra.overrides.task, resolve=False))
    return [word.lstrip("+~") for word in words]


def _asked(cfg: DictConfig) -> dict[str, str]:
    """What a run must be: a group's choice by its tag, a single setting by its param."""
    asked: dict[str, str] = {}
    for key in _GROUPS:
        group = cfg.get(key)
        if group is not None:
            asked[key] = _tag(key, configure.plain_group(cfg, key))
    asked |= {key: str(cfg[key]) for key in ("seed", "origin") if cfg.get(key) is not None}
    single = {name for word in _typed(cfg) if "." in (name := word.partition("=")[0])}
    for name in sorted(single):
        if name.partition(".")[0] in _GROUPS and name not in ("dataset.name", "dataset.root"):
            asked |= as_params({name: OmegaConf.select(cfg, name)})
    return asked


def _tag(key: str, settings: Mapping[str, Any]) -> str:
    """The tag that a group's choice puts on a run; of `backbone=auto`, where what it came to is tagged, the class."""
    module, _, kind = str(settings["_target_"]).rpartition(".")
    if key == "dataset":
        return str(settings["name"] or folder.slug(Path(str(settings["root"])).resolve().name))
    if key in ("preprocess", "split"):
        return str(settings["name"])
    if key == "spectrogram":
        return kind.lower()
    if key == "backbone" and "model" in settings:
        return table_name(str(settings["model"]))
    return str(getattr(configure.described(settings), "name", module if kind == "Auto" else kind.lower()))


def _fits(run: RunRecord, asked: Mapping[str, str]) -> bool:
    for key, value in asked.items():
        if "." in key:
            fits = run.params.get(key) == value
        elif key == "backbone" and value == "src.backbone.auto":
            fits = run.params.get("backbone._target_", "").startswith(value)
        elif key == "transfer":
            fits = transfer_of(run.tags) == value
        else:
            fits = run.tags.get(key) == value
        if not fits:
            return False
    return True


def _recipe(cfg: DictConfig, settings: dict[str, Any]) -> Recipe:
    """A run's recipe on this machine: its own settings, this machine's folders and threads."""
    here = {"paths": configure.plain_group(cfg, "paths"), "workers": cfg.workers}
    backbone = dict(settings["backbone"])
    if cfg.weights_file is not None:
        if "weights" not in backbone:
            raise UserError(f"weights_file={cfg.weights_file}: the run's backbone has no weights; leave it out")
        backbone["weights"] = str(cfg.weights_file)
    return configure.recipe({**settings, **here, "backbone": backbone}, Path())
