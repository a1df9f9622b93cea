"""A sweep looked at and moved: `python -m src.sweep action=status|retry|sync|export|import <the sweep's overrides>`."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import hydra
from omegaconf import DictConfig

from src.cli import launch as entry
from src.cli import sweep as sweeping

if TYPE_CHECKING:
    from src.sweep.status import Cell
    from src.tracking.ledger import Ledger

_OWN = ("action", "file")
# The sweep as typed: Hydra itself takes several values for a multirun only.
_words: list[str] = []


@hydra.main(version_base="1.3", config_path="../../conf", config_name="sweep")
def main(cfg: DictConfig) -> None:
    """One action."""
    sweeping.run_single(cfg, act)


def act(cfg: DictConfig) -> None:
    """Do what `action` says.

    Raises:
        UserError: no such action, or it cannot be done.
    """
    from src.config import build
    from src.errors import UserError
    from src.tracking.ledger import Ledger, open_store

    actions = {"status": _status, "retry": _retry, "sync": _sync, "export": _export, "import": _import}
    if cfg.action not in actions:
        raise UserError(f"action: got {cfg.action!r}; expected one of {', '.join(actions)}")
    if cfg.action in ("export", "import") and cfg.file is None:
        raise UserError(f"action={cfg.action}: say which file, e.g. file=sweep.zip")
    actions[cfg.action](cfg, Ledger(open_store(*build.tracking(cfg))))


def _status(_: DictConfig, ledger: "Ledger") -> None:
    from src.sweep.status import table

    sys.stdout.write(table(_cells(ledger)) + "\n")


def _retry(_: DictConfig, ledger: "Ledger") -> None:
    """Start the sweep again in this process's place: what is done is known to it."""
    from src.sweep.status import counts

    cells = _cells(ledger)
    sys.stdout.write(counts(cells) + "\n")
    sys.stdout.flush()
    if any(cell.state in ("failed", "missing") for cell in cells):
        os.execv(sys.executable, [sys.executable, "-m", "src.train", "-m", *_words])  # noqa: S606  # our own interpreter, no shell


def _sync(_: DictConfig, ledger: "Ledger") -> None:
    from src.errors import UserError

    if ledger.server is None:
        raise UserError("action=sync: say where to, e.g. tracking.uri=http://127.0.0.1:5000")
    delivered, left = ledger.server.sync(ledger.store)
    sys.stdout.write(f"{delivered} runs delivered to {ledger.server.shown}, {left} left here\n")
    if left:
        raise UserError(f"{left} runs could not be delivered, for the reasons given above; give the same command again")


def _export(cfg: DictConfig, ledger: "Ledger") -> None:
    from src.errors import UserError
    from src.sweep.bundle import export
    from src.sweep.status import counts

    cells = _cells(ledger)
    runs = [cell.run for cell in cells if cell.state == "done" and cell.run is not None]
    if not runs:
        raise UserError(f"action=export: no job of this sweep is done ({counts(cells)})")
    count = export(Path(cfg.file), ((ledger.holder(run), run) for run in runs))
    sys.stdout.write(f"{counts(cells)}\n{count} runs in {cfg.file}\n")


def _import(cfg: DictConfig, ledger: "Ledger") -> None:
    from src.sweep.bundle import import_runs

    new, known = import_runs(Path(cfg.file), ledger)
    sys.stdout.write(f"{new} runs from {cfg.file}, {known} known before\n")


def _cells(ledger: "Ledger") -> "list[Cell]":
    import tempfile
    from functools import partial

    from src.config import build
    from src.config.jobs import Composer, expand, told_apart
    from src.sweep.status import Survey

    jobs, composer, survey = expand(_words), Composer(), Survey(ledger)
    with tempfile.TemporaryDirectory() as decision:
        return [
            survey.cell(name, partial(lambda words: build.experiment(composer(words), Path(decision)), words))
            for words, name in zip(jobs, told_apart(jobs), strict=True)
        ]


def _take_sweep() -> None:
    """Keep the sweep's words, and leave Hydra those that it can compose here."""
    from src.config.jobs import is_sweep

    entry.hide_password()
    own = [word for word in sys.argv[1:] if word.split("=")[0] in _OWN]
    _words.extend(word for word in sys.argv[1:] if word not in own and word not in ("-m", "--multirun"))
    sys.argv[1:] = own + [word for word in _words if not is_sweep(word)]


if __name__ == "__main__":
    _take_sweep()
    entry.launch(main, sweeping.finish)
