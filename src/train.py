"""Train a head on frozen features, once or over a sweep: `python -m src.train -m dataset=genre seed=0,1,2,3,4`."""

from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from src.cli import launch, sweep

if TYPE_CHECKING:
    from src.experiment import Outcome


@hydra.main(version_base="1.3", config_path="../conf", config_name="config")
def main(cfg: DictConfig) -> None:
    """One job."""
    sweep.run_job(cfg, _train)


def _train(cfg: DictConfig, shared: Path) -> "Outcome":
    hydra_config = HydraConfig.get()
    if hydra_config.mode != RunMode.MULTIRUN:  # the jobs of a sweep are checked before its first
        from src.config.effect import check_job

        check_job(cfg, list(hydra_config.overrides.task))
    from src import experiment  # only now: torch and MLflow take seconds
    from src.cli.terminal import progress_of
    from src.config import build
    from src.tracking.ledger import open_store

    sweep.share_threads(cfg)
    store = open_store(*build.tracking(cfg))
    force = build.parse_bool("force", cfg.force)
    return experiment.run_experiment(build.experiment(cfg, shared), store, force=force, progress=progress_of(cfg))


if __name__ == "__main__":
    launch.launch(main, sweep.finish)
