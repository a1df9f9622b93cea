"""Make a dataset ready: `python -m src.prepare dataset=NAME`, `-m` for several, `audit=true` for a report on it."""

import hydra
from omegaconf import DictConfig

from src.cli import launch as entry
from src.cli import sweep


@hydra.main(version_base="1.3", config_path="../../conf", config_name="prepare")
def main(cfg: DictConfig) -> None:
    """One dataset."""
    sweep.run_single(cfg, _prepare)


def _prepare(cfg: DictConfig) -> None:
    from src.prepare.dataset import make_ready

    make_ready(cfg)


if __name__ == "__main__":
    entry.launch(main, sweep.finish)
