"""One training job as Hydra starts it."""

from pathlib import Path

from omegaconf import DictConfig

from src import configure
from src.console import progress_bar
from src.experiment import Outcome, run_experiment
from src.ledger.ledger import open_store


def train(cfg: DictConfig, shared: Path) -> Outcome:
    """Run one configuration and return what it has to show.

    Args:
        shared: folder shared by the jobs of one sweep.
    """
    force, bars = configure.truth("force", cfg.force), configure.truth("progress", cfg.progress)
    where = configure.tracking(cfg)
    experiment = configure.experiment(cfg, shared)
    show = progress_bar if bars else lambda _: None
    return run_experiment(experiment, open_store(*where), force=force, progress=show)
