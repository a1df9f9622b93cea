"""What one decision rests on, to see and to hear: `python -m src.explain run=RUN_ID audio=FILE out=FOLDER`."""

import hydra
from omegaconf import DictConfig

from src.cli import launch as entry
from src.cli import sweep
from src.errors import UserError


@hydra.main(version_base="1.3", config_path="../../conf", config_name="explain")
def main(cfg: DictConfig) -> None:
    """One file."""
    sweep.run_single(cfg, _explain)


def _explain(cfg: DictConfig) -> None:
    if cfg.action == "neighbours":
        from src.explain.neighbours import neighbours

        neighbours(cfg)
    elif cfg.action == "decision":
        from src.explain.file import explain_file

        explain_file(cfg)
    else:
        raise UserError(f"action={cfg.action}: expected decision or neighbours")


if __name__ == "__main__":
    entry.launch(main, sweep.finish)
