"""How a finished run's model bears disturbed recordings: `python -m src.robustness run=RUN_ID`."""

import hydra
from omegaconf import DictConfig

from src import entry, sweeping


@hydra.main(version_base="1.3", config_path="../conf", config_name="robustness")
def main(cfg: DictConfig) -> None:
    """One run."""
    sweeping.run_single(cfg, _robustness)


def _robustness(cfg: DictConfig) -> None:
    from src.disturbing import robustness

    robustness(cfg)


if __name__ == "__main__":
    entry.launch(main, sweeping.finish)
