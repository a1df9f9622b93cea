"""Features ahead of training, by one process or many: `python -m src.prefetch -m share=range(4) dataset=genre`."""

import hydra
from omegaconf import DictConfig

from src import entry, sweeping


@hydra.main(version_base="1.3", config_path="../conf", config_name="prefetch")
def main(cfg: DictConfig) -> None:
    """One job; it shares the work with all that run at the same time."""
    sweeping.run_single(cfg, _prefetch)


def _prefetch(cfg: DictConfig) -> None:
    from src.job import prefetch

    prefetch(cfg)


if __name__ == "__main__":
    entry.launch(main, sweeping.finish)
