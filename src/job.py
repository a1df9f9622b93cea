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
    store = open_store(*configure.tracking(cfg))
    show = progress_bar if cfg.progress else lambda _: None
    experiment = configure.experiment(cfg, shared)
    return run_experiment(experiment, store, force=bool(cfg.force), progress=show)
