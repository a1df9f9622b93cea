"""What the network sees of one file: `python -m src.show audio=FILE picture=OUT.png features=OUT.csv`."""

import hydra
from omegaconf import DictConfig

from src import entry, sweeping


@hydra.main(version_base="1.3", config_path="../conf", config_name="show")
def main(cfg: DictConfig) -> None:
    """One file."""
    sweeping.run_single(cfg, _show)


def _show(cfg: DictConfig) -> None:
    from src.viewing import show

    show(cfg)


if __name__ == "__main__":
    entry.launch(main, sweeping.finish)
