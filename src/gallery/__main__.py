"""What a finished run gets wrong, as a page to look at and listen to: `python -m src.gallery run=RUN_ID`."""

import hydra
from omegaconf import DictConfig

from src.cli import launch as entry
from src.cli import sweep


@hydra.main(version_base="1.3", config_path="../../conf", config_name="gallery")
def main(cfg: DictConfig) -> None:
    """One page."""
    sweep.run_single(cfg, _exhibit)


def _exhibit(cfg: DictConfig) -> None:
    from src.gallery.gallery import exhibit

    exhibit(cfg)


if __name__ == "__main__":
    entry.launch(main, sweep.finish)
