"""A tracking server on this machine: MLflow on PostgreSQL, artifacts in a folder, reachable from this machine alone."""

import hydra
from omegaconf import DictConfig

from src.cli import launch as entry
from src.cli import sweep


@hydra.main(version_base="1.3", config_path="../../conf", config_name="server")
def main(cfg: DictConfig) -> None:
    """Until it is interrupted."""
    sweep.run_single(cfg, _serve)


def _serve(cfg: DictConfig) -> None:
    from pathlib import Path

    from src.config import build
    from src.server.serving import serve

    binaries = None if cfg.postgres is None else Path(cfg.postgres)
    serve(Path(cfg.paths.tracking) / "server", build.parse_int("port", cfg.port), binaries)


if __name__ == "__main__":
    entry.launch(main, sweep.finish)
