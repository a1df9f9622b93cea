"""Extract features ahead of training: `python -m src.prepare.features -m share=range(4) dataset=genre`."""

import hydra
from omegaconf import DictConfig

from src.cli import launch as entry
from src.cli import sweep


@hydra.main(version_base="1.3", config_path="../../conf", config_name="features")
def main(cfg: DictConfig) -> None:
    """One job; it shares the work with all that run at the same time."""
    sweep.run_single(cfg, _prefetch)


def _prefetch(cfg: DictConfig) -> None:
    from src.cli.job import prefetch

    prefetch(cfg)


if __name__ == "__main__":
    entry.launch(main, sweep.finish)
