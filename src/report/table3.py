"""Table 3: Ballroom without its small classes."""

from src.evaluation.text_table import NONE, points
from src.report import scored_cells as desks
from src.report.accuracies import cells_table
from src.report.document import Report
from src.report.scored_cells import Row, ScoredCells

EXPERIMENT = "table3"


def table3(desk: ScoredCells) -> Report:
    """The four subsets, with chance beside them: with fewer classes there is less to get wrong."""
    rows = desk.of(EXPERIMENT)
    cells = [row.cell for row in rows]
    table = cells_table("", "Accuracy on subsets of Ballroom", LABELS, rows)
    notes = (
        "Chance: always saying the largest class. Subsets test different clips, so no test compares them with each "
        "other.",
    )
    return Report(
        "table3",
        "Table 3: subsets of Ballroom, normalized",
        tables=(table,) if rows else (),
        notes=(*notes, *desks.remarks(cells)),
        missing=desks.missing(cells),
        errors=desks.errors(cells),
        sources=desks.sources(cells),
    )


def _classes(row: Row) -> str:
    return str(len(row.cell.tested.classes)) if row.cell.tested else NONE


def chance(row: Row) -> str:
    """What always saying the largest class of the test clips gets right, in percent."""
    return points(row.cell.tested.chance) if row.cell.tested else NONE


LABELS = (
    ("dataset", lambda row: row.cell.wanted.title),
    ("condition", lambda row: row.cell.wanted.condition),
    ("classes", _classes),
    ("chance", chance),
)
