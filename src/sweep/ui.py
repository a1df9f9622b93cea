"""MLflow's pages over the embedded store, on this machine alone: `python -m src.sweep.ui`."""

import hydra
from omegaconf import DictConfig

from src.cli import launch as entry
from src.cli import sweep


@hydra.main(version_base="1.3", config_path="../../conf", config_name="ui")
def main(cfg: DictConfig) -> None:
    """Until it is interrupted."""
    sweep.run_single(cfg, _show)


def _show(cfg: DictConfig) -> None:
    """Open the store, so that its addresses of artifacts are those of where it is, and become MLflow's server."""
    import os
    import sys
    from pathlib import Path

    from src.errors import UserError
    from src.tracking.database import is_embedded
    from src.tracking.store import Store, TrackingSettings

    if isinstance(cfg.port, bool) or not isinstance(cfg.port, int) or not 0 < cfg.port < 1 << 16:
        raise UserError(f"port: got {cfg.port!r}; expected a number from 1 to 65535")
    store = Store(TrackingSettings(cfg.tracking.uri, str(cfg.tracking.experiment)), Path(str(cfg.paths.tracking)))
    if not is_embedded(store.uri):
        raise UserError(f"tracking.uri={store.shown}: a server has pages of its own; open that address in a browser")
    words = [sys.executable, "-m", "mlflow", "ui", "--host", "127.0.0.1", "--port", str(cfg.port), "--workers", "1"]
    os.execv(sys.executable, [*words, "--backend-store-uri", store.uri])  # noqa: S606  # our own interpreter, no shell


if __name__ == "__main__":
    entry.launch(main, sweep.finish)
