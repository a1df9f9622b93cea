"""New audio through a finished run (`python -m src.predict run=RUN_ID audio=PATH`), and the run as an MLflow model."""

import hydra
from omegaconf import DictConfig

from src.cli import launch as entry
from src.cli import sweep
from src.errors import UserError


@hydra.main(version_base="1.3", config_path="../../conf", config_name="predict")
def main(cfg: DictConfig) -> None:
    """One action."""
    sweep.run_single(cfg, _act)


def _act(cfg: DictConfig) -> None:
    if cfg.action == "predict":
        from src.predict.classify import predict

        predict(cfg)
    elif cfg.action == "confidence":
        from src.predict.confidence import confidence

        confidence(cfg)
    elif cfg.action == "register":
        from src.predict.export import export

        export(cfg)
    else:
        raise UserError(f"action={cfg.action}: expected predict, confidence or register")


if __name__ == "__main__":
    entry.launch(main, sweep.finish)
