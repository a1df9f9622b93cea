"""How much of the spread of accuracies is the split, and how much the seed."""

import numpy as np

from src.evaluation.statistics import VarianceSplit, variance_split
from src.evaluation.text_table import NONE, points
from src.report import scored_cells as desks
from src.report.document import MISSING, Report, Table
from src.report.scored_cells import ScoredCells
from src.tracking.cell import Cell

EXPERIMENT = "split_variance"
_HEADER = ("dataset", "accuracy", "sd of split", "sd of seed", "split's share", "runs", "audio", "made by")
_NOTES = (
    "Random-effects analysis of variance over stratified splits (split.seed) and seeds within each: the deviation that "
    "another split makes, and that another seed makes, both in points, and the split's share of the variance. The "
    "paper has one split and speaks of the seed alone.",
)


def variance(desk: ScoredCells) -> Report:
    """A row per dataset."""
    cells = [row.cell for row in desk.of(EXPERIMENT)]
    titles = list(dict.fromkeys(cell.wanted.title for cell in cells))
    rows = [_row(title, [cell for cell in cells if cell.wanted.title == title]) for title in titles]
    table = Table("", "Split and seed", _HEADER, tuple(t for t, _ in rows), tuple(d for _, d in rows), _NOTES)
    return Report(
        "variance",
        "Spread of accuracies: split against seed",
        tables=(table,) if rows else (),
        notes=desks.remarks(cells),
        missing=desks.missing(cells),
        errors=desks.errors(cells),
        sources=desks.sources(cells),
    )


def _row(title: str, cells: list[Cell]) -> tuple[tuple[str, ...], dict[str, object]]:
    if any(cell.missing or cell.error for cell in cells) or len(cells) < 2 or len(cells[0].runs) < 2:
        text = (title, MISSING, NONE, NONE, NONE, f"{sum(len(cell.runs) for cell in cells)}", NONE, NONE)
        return text, {"dataset": title}
    accuracies = np.array([cell.accuracies for cell in cells])
    parts = variance_split(accuracies)
    text = (
        title,
        points(float(accuracies.mean())),
        points(parts.split**0.5),
        points(parts.seed**0.5),
        _share(parts),
        str(accuracies.size),
        cells[0].origin,
        cells[0].backbone,
    )
    return text, {
        "dataset": title,
        "accuracy": 100 * float(accuracies.mean()),
        "sd_split": 100 * parts.split**0.5,
        "sd_seed": 100 * parts.seed**0.5,
        "split_share": parts.split_share,
        "runs": accuracies.size,
        "audio": cells[0].origin,
        "made_by": cells[0].made_by,
        "run_ids": " ".join(run.run_id for cell in cells for run in cell.runs),
    }


def _share(parts: VarianceSplit) -> str:
    return NONE if np.isnan(parts.split_share) else f"{points(parts.split_share)} %"
