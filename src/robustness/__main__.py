"""How a finished run's model bears disturbed recordings: `python -m src.robustness run=RUN_ID`."""

import hydra
from omegaconf import DictConfig

from src.cli import launch as entry
from src.cli import sweep


@hydra.main(version_base="1.3", config_path="../../conf", config_name="robustness")
def main(cfg: DictConfig) -> None:
    """One run."""
    sweep.run_single(cfg, _robustness)


def _robustness(cfg: DictConfig) -> None:
    from src.robustness.measure import robustness

    robustness(cfg)


if __name__ == "__main__":
    entry.launch(main, sweep.finish)
