"""Tables and figures from tracked runs: `python -m src.report name=table2`."""

import sys
from typing import cast

import hydra
from omegaconf import DictConfig, OmegaConf

from src.cli import launch as entry
from src.cli import sweep as sweeping

# Hydra takes several values for a multirun; here they are the sweep to report on.
_swept: list[str] = []


@hydra.main(version_base="1.3", config_path="../../conf", config_name="report")
def main(cfg: DictConfig) -> None:
    """One report."""
    sweeping.run_single(cfg, _report)


def _report(cfg: DictConfig) -> None:
    from pathlib import Path

    from hydra.core.hydra_config import HydraConfig

    from src.cli.terminal import progress_bar
    from src.config import build
    from src.errors import UserError
    from src.report.clip_loader import ClipLoader
    from src.report.making import Request, make
    from src.report.overrides import Typed
    from src.tracking.store import Store

    # as typed: a reference to the environment may stand for a password, and reports print commands
    words = cast(list[str], OmegaConf.to_container(HydraConfig.get().overrides.task, resolve=False))
    typed = Typed.of([*words, *_swept])
    show = progress_bar if cfg.progress else lambda _: None
    request = Request(
        name=str(cfg.name),
        action=str(cfg.action),
        folder=Path(str(cfg.folder)),
        resample_seed=build.parse_int("resample_seed", cfg.resample_seed),
        typed=typed,
        studio=ClipLoader(typed, build.workers(cfg.workers), show),
    )
    if not make(request, lambda: Store(*build.tracking(cfg))):
        raise UserError("report: not everything could be made; see the errors above")


def _take_sweeps() -> None:
    from src.config.jobs import is_sweep

    entry.hide_password()
    _swept.extend(word for word in sys.argv[1:] if is_sweep(word))
    sys.argv[1:] = [word for word in sys.argv[1:] if word not in _swept]


if __name__ == "__main__":
    _take_sweeps()
    entry.launch(main, sweeping.finish)
