"""A tracking server on this machine: MLflow on PostgreSQL, artifacts in a folder, reachable from this machine alone."""

import hydra
from omegaconf import DictConfig

from src import entry, sweeping


@hydra.main(version_base="1.3", config_path="../conf", config_name="server")
def main(cfg: DictConfig) -> None:
    """Until it is interrupted."""
    sweeping.run_single(cfg, _serve)


def _serve(cfg: DictConfig) -> None:
    from pathlib import Path

    from src import configure
    from src.ledger.serving import serve

    binaries = None if cfg.postgres is None else Path(cfg.postgres)
    serve(Path(cfg.paths.tracking) / "server", configure.whole("port", cfg.port), binaries)


if __name__ == "__main__":
    entry.launch(main, sweeping.finish)
