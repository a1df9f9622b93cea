"""The door for every command that uses a finished run: which run is meant, and its model."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from src.backbone.auto import Auto
from src.backbone.weights import table_name
from src.config import build as configure
from src.data import folder, sources
from src.data.clip import Dataset
from src.data.dataset import DatasetSettings
from src.data.paths import Paths
from src.errors import UserError, printable
from src.features.digests import FileDigests
from src.features.labelled import Progress, Runtime, list_clips
from src.features.pipeline import FeaturePipeline
from src.tracking.checkpoint import TrainedModel, load
from src.tracking.naming import transfer_of
from src.tracking.store import RunRecord, Store, as_params

log = logging.getLogger(__name__)

BEST = "best"
VALIDATION = "validation/accuracy"
_GROUPS = ("dataset", "preprocess", "spectrogram", "backbone", "head", "split", "transfer")
_FULL_LENGTH = 32
_AUTO = "auto"


def open_model(cfg: DictConfig) -> TrainedModel:
    """The model of the run that `cfg` means.

    Raises:
        UserError: no such run, or its model cannot be had here exactly as it was.
    """
    run = find_run(cfg)
    return load(
        run, store(cfg), lambda settings: _recipe(cfg, settings), exact=configure.parse_bool("exact", cfg.exact)
    )


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
    asked_for: tuple[DatasetSettings | None, Runtime | None] = (None, None)
    if cfg.get("dataset") is not None:
        groups = {key: configure.plain_group(cfg, key) for key in ("dataset", "paths")}
        asked_for = dataset_and_place({**groups, "workers": cfg.workers})
    comparable, why = of_one_data(measured, *asked_for)
    best = max(comparable, key=lambda run: (run.metrics[VALIDATION], run.started))
    others = len(measured) - len(comparable)
    log.info(
        "run %s (%s): validation accuracy %.3f, the best of %d%s%s", best.run_id, best.name, best.metrics[VALIDATION],
        len(comparable), f" {why}" if why else "", f"; {others} that saw other clips are left out" if others else "",
    )  # fmt: skip
    return best


def of_one_data(
    runs: Sequence[RunRecord], dataset: DatasetSettings | None, place: Runtime | None
) -> tuple[list[RunRecord], str]:
    """Those of some runs of one dataset that saw the same clips, and in words which clips these are.

    These are the clips at hand, where any run saw them; otherwise the clips of the newest run. A run of a folder that
    only has the same name as the one asked for does not count: a run is a folder's if it saw the clips that are in it
    now, or if the folder was at this path when the run was made.

    Args:
        runs: at least one. dataset: asked for; None: whichever the runs are of. place: of that dataset.

    Raises:
        UserError: the runs are of other folders than the one asked for, or of several while none was asked for.
    """
    digests = {run.tags.get("data_digest") for run in runs}
    if dataset is None or place is None:
        if len(folders := _folders(runs)) > 1:
            raise UserError(
                f"runs of several folders called {runs[0].tags.get('dataset')} fit ({', '.join(folders)}); say which "
                "with dataset=folder dataset.root=PATH"
            )
        return _of_newest(runs), "on the newest version of its clips" * (len(digests) > 1)
    there = _present(dataset, place)
    root = printable((Path(dataset.root) if there is None else there.root).resolve())
    here = [run for run in runs if run.tags.get("dataset_root") == root]
    if there is not None and (len(digests) > 1 or len(here) < len(runs)):
        digest = list_clips(dataset, place).digest()
        if same := [run for run in runs if run.tags.get("data_digest") == digest]:
            return same, f"on the clips in {root}"
    if not here and dataset.source == "recordings":
        raise UserError(
            f"{root}: no run saw the clips that are there. The runs that fit are of other folders of the same name "
            f"({', '.join(_folders(runs))}): give one of those, name a run with run=RUN_ID, or train on this folder"
        )
    elsewhere = "" if there is None else f", which are not those in {root}"
    return _of_newest(here or runs), f"on the newest version of its clips{elsewhere}" if len(digests) > 1 else ""


def _of_newest(runs: Sequence[RunRecord]) -> list[RunRecord]:
    newest = max(runs, key=lambda run: run.started)
    return [run for run in runs if run.tags.get("data_digest") == newest.tags.get("data_digest")]


def _folders(runs: Sequence[RunRecord]) -> list[str]:
    """The user's own folders that runs were made with, the newest first; one that moved with its clips is one."""
    found: dict[str, str] = {}
    known: set[str | None] = set()
    for run in sorted(runs, key=lambda run: -run.started):
        root, digest = run.tags.get("dataset_root", ""), run.tags.get("data_digest", "")
        if run.params.get("dataset.source") == "recordings" and digest not in known and root not in found:
            found[root] = digest
        known.add(digest)
    return list(found)


def _present(dataset: DatasetSettings, place: Runtime) -> Dataset | None:
    """The dataset as it is on this machine; None where it is not there, or cannot be used."""
    try:
        return sources.present(dataset, place.data)
    except UserError as error:
        log.debug("%s", error)
        return None


def clips_of(run: RunRecord, settings: Mapping[str, Any], root: str | None, place: Runtime) -> FileDigests:
    """The clips that a run was made with, as they lie on this machine.

    Args:
        settings: the run's resolved configuration.
        root: folder of the dataset, where it is no longer where the run had it.

    Raises:
        UserError: they are not there, or other clips are.
    """
    dataset = configure.build("dataset", settings["dataset"], DatasetSettings)
    contents = list_clips(dataset if root is None else replace(dataset, root=root, name=dataset.title), place)
    if contents.digest() != run.tags["data_digest"]:
        raise UserError(
            f"{contents.dataset.root}: not the clips that run {run.run_id} was made with (some were added, removed, "
            "changed or named otherwise since); say where those are with root=FOLDER, or train on these"
        )
    return contents


def runtime(cfg: DictConfig, progress: Progress) -> Runtime:
    """Where things are for a command, and how much of the machine it uses."""
    paths = configure.build("paths", configure.plain_group(cfg, "paths"), Paths)
    return Runtime(Path(paths.data), Path(paths.cache), configure.workers(cfg.workers), progress)


def dataset_and_place(settings: Mapping[str, Any]) -> tuple[DatasetSettings, Runtime]:
    """The dataset that a configuration names, and where it is on this machine."""
    dataset = configure.build("dataset", settings["dataset"], DatasetSettings)
    paths = configure.build("paths", settings["paths"], Paths)
    workers = configure.workers(settings["workers"])
    return dataset, Runtime(Path(paths.data), Path(paths.cache), workers, lambda _: None)


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
    """What a group's choice is called in a run's tag; of `backbone=auto`, which tags what it came to, `auto`."""
    if key == "dataset":
        return str(settings["name"] or folder.slug(Path(str(settings["root"])).resolve().name))
    if key in ("preprocess", "split"):
        return str(settings["name"])
    if key == "backbone" and "model" in settings:
        return table_name(str(settings["model"]))
    kind = configure.described(settings)
    if kind is Auto:
        return _AUTO
    return str(getattr(kind, "kind", None) or kind.name)


def _fits(run: RunRecord, asked: Mapping[str, str]) -> bool:
    """Whether a run has what was asked for: tags of groups by their first word, as in `mlp 512-256`."""
    for key, value in asked.items():
        if "." in key:
            fits = run.params.get(key) == value
        elif key == "backbone" and value == _AUTO:
            fits = run.params.get("backbone._target_", "").endswith(".Auto")
        elif key in ("head", "transfer"):
            fits = (transfer_of(run.tags) if key == "transfer" else run.tags.get(key, "")).partition(" ")[0] == value
        else:
            fits = run.tags.get(key) == value
        if not fits:
            return False
    return True


def _recipe(cfg: DictConfig, settings: dict[str, Any]) -> FeaturePipeline:
    """A run's pipeline on this machine: its own settings, this machine's folders and threads."""
    here = {"paths": configure.plain_group(cfg, "paths"), "workers": cfg.workers}
    backbone = dict(settings["backbone"])
    if cfg.weights_file is not None:
        if "weights" not in backbone:
            raise UserError(f"weights_file={cfg.weights_file}: the run's backbone has no weights; leave it out")
        backbone["weights"] = str(cfg.weights_file)
    return configure.pipeline({**settings, **here, "backbone": backbone}, Path())
