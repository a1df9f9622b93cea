"""Table 4: RMS loudness per class, and how far the classes of a dataset overlap in it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from src.evaluation.statistics import mean_overlap, overlap_matrix, overlap_of_normals
from src.evaluation.text_table import NONE, points
from src.report import paper_values
from src.report import scored_cells as desks
from src.report.document import MISSING, Report, Table
from src.report.scored_cells import ScoredCells
from src.report.table1 import EXPERIMENTS, clips_of
from src.tracking.cell import Cell
from src.tracking.expected_cell import commands

_HEADER = ("dataset", "class", "RMS", "sd", "paper's RMS", "paper's sd", "difference", "clips", "audio")
_NOTES = (
    "RMS of the whole clip over all channels as recorded, before any normalisation; full scale is 1. Mean and standard "
    "deviation over a class's clips. Difference from the paper: for recordings only.",
)
_OVERLAP_NOTES = (
    "Overlap of the distributions of RMS of two classes, averaged over all pairs of classes: 100 % alike in loudness, "
    "0 % told apart by it. The paper's: from its means and deviations, taken as normal.",
)


@dataclass(frozen=True, eq=False)
class Loudness:
    """RMS of a dataset's clips by class."""

    cell: Cell
    classes: dict[str, Float64[np.ndarray, " clips"]]

    @property
    def overlap(self) -> float:
        """Mean over pairs of classes, 0..1; nan where a class has one clip."""
        return mean_overlap(overlap_matrix(list(self.classes.values())))


def table4(desk: ScoredCells) -> Report:
    """Loudness of every class of the paper's table 4, and the overlap for all datasets."""
    cells = [row.cell for row in desk.of(*EXPERIMENTS)]
    titles = list(dict.fromkeys(cell.wanted.title for cell in cells))
    found = {title: loudness_of(cells, title) for title in titles}
    rows = [row for title in titles for row in _rows(title, found[title])]
    tables = [_table("", "RMS loudness by class", _HEADER, rows, _NOTES)]
    header = ("dataset", "overlap", "paper's overlap", "audio")
    tables.append(
        _table(
            "overlap", "Overlap of classes in loudness", header, [_overlap(t, found[t]) for t in titles], _OVERLAP_NOTES
        )
    )
    used = [one.cell for one in found.values() if one is not None]
    lacking = [next(cell for cell in cells if cell.wanted.title == t) for t in titles if found[t] is None]
    return Report(
        "table4",
        "Table 4: loudness",
        tables=tuple(table for table in tables if table.rows),
        notes=desks.stand_ins(used),
        missing=tuple(commands([(cell.wanted, cell.wanted.seeds[:1]) for cell in lacking])),
        errors=desks.errors(cells),
        sources=desks.sources(used),
    )


def loudness_of(cells: Sequence[Cell], title: str) -> Loudness | None:
    """RMS by class of a dataset, from any of its runs; None where no run tells it."""
    cell = clips_of(cells, title)
    if cell is None or cell.predictions is None or np.isnan(cell.predictions.rms).any():
        return None
    found = cell.predictions
    return Loudness(cell, {label: found.rms[found.of(label)] for label in found.classes})


def paper_overlap(title: str) -> float:
    """Mean overlap of a dataset's classes by the paper's table 4; nan where it is not there."""
    rows = [row for row in paper_values.loudness() if row.dataset == title]
    if len(rows) < 2:
        return math.nan
    means, deviations = (np.array([getattr(row, key) for row in rows]) for key in ("mean", "deviation"))
    return mean_overlap(overlap_of_normals(means, deviations))


_Rows = Sequence[tuple[tuple[str, ...], dict[str, object]]]


def _table(key: str, title: str, header: tuple[str, ...], rows: _Rows, notes: tuple[str, ...]) -> Table:
    return Table(key, title, header, tuple(t for t, _ in rows), tuple(d for _, d in rows), notes)


def _rows(title: str, found: Loudness | None) -> _Rows:
    paper = {row.label: row for row in paper_values.loudness() if row.dataset == title}
    labels = list(found.classes) if found else list(paper)
    return [_row(title, label, found, paper.get(label)) for label in labels]


def _row(
    title: str, label: str, found: Loudness | None, paper: paper_values.PublishedLoudness | None
) -> tuple[tuple[str, ...], dict[str, object]]:
    theirs = (NONE, NONE) if paper is None else (f"{paper.mean:.2f}", f"{paper.deviation:.2f}")
    data: dict[str, object] = {"dataset": title, "class": label}
    if paper is not None:
        data |= {"paper_rms": paper.mean, "paper_sd": paper.deviation, "paper_source": paper.source}
    if found is None:
        return (title, label, MISSING, NONE, *theirs, NONE, NONE, NONE), data
    rms, origin = found.classes[label], found.cell.origin
    mean, deviation = float(rms.mean()), float(rms.std(ddof=1)) if len(rms) > 1 else math.nan
    compared = paper is not None and origin == "recorded"
    difference = f"{mean - paper.mean:+.3f}".replace("-", "−") if compared and paper else NONE
    ours = (f"{mean:.3f}", f"{deviation:.3f}", *theirs, difference, str(len(rms)), origin)
    run = found.cell.runs[0].run_id
    told = {"rms": mean, "sd": deviation, "clips": len(rms), "audio": origin, "run_ids": run}
    return (title, label, *ours), data | told


def _overlap(title: str, found: Loudness | None) -> tuple[tuple[str, ...], dict[str, object]]:
    ours = math.nan if found is None else found.overlap
    theirs = paper_overlap(title)
    shown = MISSING if found is None else NONE if math.isnan(ours) else f"{points(ours)} %"
    origin = found.cell.origin if found else ""
    text = (title, shown, NONE if math.isnan(theirs) else f"{points(theirs)} %", origin or NONE)
    return text, {"dataset": title, "overlap": ours, "paper_overlap": theirs, "audio": origin}
