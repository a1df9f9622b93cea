"""The feature cache: `python -m src.prepare.cache` shows its size by dataset, `action=prune` makes it smaller."""

import sys
import time
from pathlib import Path
from typing import Any

import hydra
from omegaconf import DictConfig

from src.cli import launch as entry
from src.cli import sweep
from src.errors import UserError


@hydra.main(version_base="1.3", config_path="../../conf", config_name="cache")
def main(cfg: DictConfig) -> None:
    """One action."""
    sweep.run_single(cfg, act)


def act(cfg: DictConfig) -> None:
    """List or prune.

    Raises:
        UserError: an unknown action, or a prune that says nothing of what to prune.
    """
    from src.evaluation.text_table import text_table
    from src.features.cache import listing

    if cfg.action not in ("list", "prune"):
        raise UserError(f"action: got {cfg.action!r}; expected list or prune")
    if cfg.action == "prune" and cfg.of is None and cfg.days is None:
        raise UserError("action=prune: say what: of=DATASET, days=N (not added to for N days), or both; days=0 is all")
    if cfg.days is not None and (isinstance(cfg.days, bool) or not isinstance(cfg.days, int | float) or cfg.days < 0):
        raise UserError(f"days: got {cfg.days!r}; expected a number of days, 0 or more")
    folder = Path(str(cfg.paths.cache)) / "features"
    entries = [entry for entry in listing(folder) if _chosen(entry, cfg)]
    if cfg.action == "prune":
        for entry in entries:
            for path in entry["paths"]:
                path.unlink(missing_ok=True)
        for path in folder.glob("*/*.corrupt"):  # set aside by a reader, of no use to anyone
            path.unlink(missing_ok=True)
    rows = [_row(entry) for entry in entries]
    total = sum(entry["bytes"] for entry in entries) / 1e6
    done = "removed" if cfg.action == "prune" else "held"
    header = ("dataset", "backbone", "condition", "clips", "MB", "days since", "pipeline")
    sys.stdout.write((text_table(header, rows) + "\n") * bool(rows) + f"{folder}: {total:.1f} MB {done}\n")
    pictures, size = _pictures(folder.parent / "pictures", cfg)
    if pictures:
        sys.stdout.write(f"{folder.parent / 'pictures'}: {pictures} files for fine-tuning, {size:.1f} MB {done}\n")


def _pictures(folder: Path, cfg: DictConfig) -> tuple[int, float]:
    """How many there are, or are removed, and their MB; they belong to no dataset, so `of` leaves them."""
    if cfg.action == "prune" and cfg.of is not None:
        return 0, 0.0
    found = [(path, path.stat()) for path in folder.glob("*/*.pixels")]
    if cfg.action == "prune":
        found = [(path, stat) for path, stat in found if (time.time() - stat.st_mtime) / 86400 >= cfg.days]
        for path, _ in found:
            path.unlink(missing_ok=True)
    return len(found), sum(stat.st_size for _, stat in found) / 1e6


def _chosen(entry: dict[str, Any], cfg: DictConfig) -> bool:
    if cfg.action == "list":
        return True
    named = cfg.of is None or str(cfg.of) == entry["dataset"]
    return named and (cfg.days is None or bool(entry["days"] >= cfg.days))


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    settings = entry["settings"]
    backbone = str(settings.get("backbone", {}).get("model", "?"))
    levels = settings.get("levels_dbfs", [])
    condition = f"{len(levels)} copies, {min(levels):g} to {max(levels):g} dBFS" if levels else "as recorded"
    size, days = f"{entry['bytes'] / 1e6:.1f}", f"{entry['days']:.1f}"
    return (entry["dataset"], backbone, condition, str(entry["clips"]), size, days, entry["pipeline"][:12])


if __name__ == "__main__":
    entry.launch(main, sweep.finish)
