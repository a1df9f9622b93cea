"""What the network sees of one file: `python -m src.show audio=FILE picture=OUT.png features=OUT.csv`."""

import hydra
from omegaconf import DictConfig

from src.cli import launch as entry
from src.cli import sweep


@hydra.main(version_base="1.3", config_path="../conf", config_name="show")
def main(cfg: DictConfig) -> None:
    """One file."""
    sweep.run_single(cfg, _show)


def _show(cfg: DictConfig) -> None:
    from src.show_file import show

    show(cfg)


if __name__ == "__main__":
    entry.launch(main, sweep.finish)
