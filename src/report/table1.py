"""Table 1: the datasets as they are on this machine, beside the paper's."""

import math
from collections import Counter
from collections.abc import Sequence

from src.evaluation.text_table import NONE
from src.report import paper_values
from src.report import scored_cells as desks
from src.report.document import MISSING, Report, Table
from src.report.paper_values import PublishedDataset
from src.report.scored_cells import ScoredCells
from src.tracking.cell import Cell
from src.tracking.expected_cell import commands
from src.tracking.predictions import Predictions

EXPERIMENTS = ("table2_network", "table2_baseline")
_HEADER = (
    *("dataset", "classes", "paper", "clips per class, sorted", "paper's", "clip length", "paper's", "test clips"),
    *("audio", "made by"),
)
_NOTES = (
    "As the runs found them: clips that could not be used are not counted. Any run of a dataset will do, whatever its "
    "condition and classifier.",
)


def table1(desk: ScoredCells) -> Report:
    """A row per dataset of the paper, read from any of its runs."""
    cells = [row.cell for row in desk.of(*EXPERIMENTS)]
    known = {title: clips_of(cells, title) for title in dict.fromkeys(cell.wanted.title for cell in cells)}
    rows = [_row(one, known[one.name]) for one in paper_values.datasets() if one.name in known]
    used = [cell for cell in known.values() if cell is not None]
    lacking = [next(cell for cell in cells if cell.wanted.title == title) for title, cell in known.items() if not cell]
    table = Table(
        "",
        "Datasets on this machine and in the paper",
        _HEADER,
        tuple(text for text, _ in rows),
        tuple(data for _, data in rows),
        _NOTES,
    )
    return Report(
        "table1",
        "Table 1: the datasets",
        tables=(table,) if rows else (),
        notes=desks.stand_ins(used),
        missing=tuple(commands([(cell.wanted, cell.wanted.seeds[:1]) for cell in lacking])),
        errors=desks.errors(cells),
        sources=desks.sources(used),
    )


def clips_of(cells: Sequence[Cell], title: str) -> Cell | None:
    """A cell whose runs tell of a dataset's clips: the first that has any."""
    return next((cell for cell in cells if cell.wanted.title == title and cell.predictions is not None), None)


def _row(paper: PublishedDataset, cell: Cell | None) -> tuple[tuple[str, ...], dict[str, object]]:
    published = ", ".join(map(str, paper.cardinalities))
    if cell is None or cell.predictions is None:
        text = (paper.name, MISSING, str(paper.classes), NONE, published, NONE, paper.clip_length, *(NONE,) * 3)
        return text, {"dataset": paper.name, "paper_classes": paper.classes, "paper_cardinalities": published}
    found = cell.predictions
    counts = sorted(Counter(found.labels).values(), reverse=True)
    tested, tags = len(found.where("test")), cell.runs[0].tags
    told = (", ".join(map(str, counts)), published, length(found), paper.clip_length, str(tested))
    made = tags.get("provenance", "")
    text = (paper.name, str(len(counts)), str(paper.classes), *told, cell.origin, made)
    return text, {
        "dataset": paper.name,
        "classes": len(counts),
        "paper_classes": paper.classes,
        "cardinalities": ", ".join(map(str, counts)),
        "paper_cardinalities": published,
        "shortest_seconds": float(found.duration.min()),
        "longest_seconds": float(found.duration.max()),
        "paper_clip_length": paper.clip_length,
        "test_clips": tested,
        "audio": cell.origin,
        "made_by": made,
        "data_digest": tags["data_digest"],
        "run_ids": cell.runs[0].run_id,
    }


def length(found: Predictions) -> str:
    """`30.0 s`, or the shortest and the longest clip where they differ by a tenth of a second."""
    low, high = float(found.duration.min()), float(found.duration.max())
    if math.isnan(low):  # an older run
        return NONE
    return f"{low:.1f} s" if high - low < 0.1 else f"{low:.1f} to {high:.1f} s"
