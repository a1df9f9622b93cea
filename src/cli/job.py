"""Jobs as Hydra starts them."""

import logging
import sys
from pathlib import Path
from typing import Any, cast

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from src.cli import launchers
from src.cli import sweep as sweeping
from src.cli.console import progress_bar
from src.config import build
from src.experiment import Outcome, run_experiment
from src.features.extract import extract
from src.features.labelled import Progress, Runtime, list_clips
from src.tracking.ledger import open_store

log = logging.getLogger(__name__)


def train(cfg: DictConfig, shared: Path) -> Outcome:
    """Run one configuration and return what it has to show.

    Args:
        shared: folder shared by the jobs of one sweep.
    """
    _divide_threads(cfg)
    where = build.tracking(cfg)
    experiment, store = build.experiment(cfg, shared), open_store(*where)
    return run_experiment(experiment, store, force=build.truth("force", cfg.force), progress=_progress(cfg))


def prefetch(cfg: DictConfig) -> None:
    """Compute the features that one configuration needs, and say how many this job did."""
    _divide_threads(cfg)
    with sweeping.shared_folder() as shared:
        experiment = build.experiment(cfg, shared, own=("share",))
    place = Runtime(Path(experiment.paths.data), Path(experiment.paths.cache), experiment.workers, _progress(cfg))
    title = experiment.dataset.title
    contents = list_clips(experiment.dataset, place, anew=build.truth("force", cfg.force))
    told = place.progress(f"{title}: features")
    found = extract(contents, experiment.pipeline, cache=place.cache, workers=place.workers, progress=told)
    for message in found.failed.values():
        log.warning("%s", message)
    sys.stdout.write(f"{title}: features of {len(found.clips)} clips, {found.computed} of them computed by this job\n")


def _progress(cfg: DictConfig) -> Progress:
    return progress_bar if build.truth("progress", cfg.progress) else lambda _: None


def _divide_threads(cfg: DictConfig) -> None:
    """Where the threads are not given, take this job's part of the machine."""
    if cfg.workers is None and HydraConfig.initialized():
        launcher = cast(dict[str, Any], OmegaConf.to_container(HydraConfig.get().launcher, resolve=True))
        cfg.workers = launchers.threads(launcher, build.workers(None))
