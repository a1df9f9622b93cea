"""Train a head on frozen features, once or over a sweep: `python -m src.train -m dataset=genre seed=0,1,2,3,4`."""

import hydra
from omegaconf import DictConfig

from src import entry, sweeping


@hydra.main(version_base="1.3", config_path="../conf", config_name="config")
def main(cfg: DictConfig) -> None:
    """One job."""
    from src.job import train

    sweeping.run_job(cfg, train)


if __name__ == "__main__":
    entry.launch(main, sweeping.finish)
