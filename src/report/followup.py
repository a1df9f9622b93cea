"""The follow-up experiments of section 6, genre without rock, and timing against timbre."""

from collections.abc import Sequence

from src.report import paired
from src.report import scored_cells as desks
from src.report.accuracies import cells_table
from src.report.document import Report
from src.report.paired import Pair
from src.report.scored_cells import Row, ScoredCells
from src.report.table3 import chance

EXPERIMENTS = ("loudness", "augmentation", "metal_classical", "timing_timbre")


def followup(desk: ScoredCells) -> Report:
    """Every cell, and the comparisons that the paper draws or should have drawn."""
    rows = desk.of(*EXPERIMENTS)
    found = paired.family(_pairs(desk))
    cells = [row.cell for row in rows]
    tables = (
        cells_table("", "Follow-up experiments", LABELS, rows),
        paired.comparisons("comparisons", "Comparisons on the same test clips", found),
    )
    starred = ("* The paper does not say in which condition.",) if any(_starred(row) for row in rows) else ()
    return Report(
        "followup",
        "Follow-up experiments",
        tables=tuple(table for table in tables if table.rows),
        notes=(*starred, *desks.remarks(cells)),
        missing=desks.missing(cells),
        errors=(*desks.errors(cells), *paired.errors(found)),
        sources=desks.sources(cells),
    )


def by_label(desk: ScoredCells, label: str) -> Row | None:
    """The cell of timing_timbre whose classes are instruments, or metres."""
    return desk.find("timing_timbre", "timing_timbre", having=lambda cell: cell.wanted.label == label)


def _pairs(desk: ScoredCells) -> list[Pair]:
    def ballroom9(condition: str) -> Row | None:
        return desk.find("augmentation", "ballroom9", condition)

    normal, repeated, augmented = (ballroom9(name) for name in ("normalized", "repeated", "augmented"))
    asked: list[tuple[str, str, Row | None, Row | None]] = [
        ("ballroom9", "augmented − normalized", normal, augmented),
        ("ballroom9", "repeated − normalized", normal, repeated),
        ("ballroom9", "augmented − repeated (levels alone)", repeated, augmented),
        ("timing_timbre", "by instrument − by metre", by_label(desk, "metre"), by_label(desk, "instrument")),
    ]
    for experiment, title in (
        ("loudness", "loudness5"),
        ("loudness", "loudness2"),
        ("metal_classical", "genre_metal_classical"),
    ):
        plain, other = (desk.find(experiment, title, name) for name in ("unprocessed", "normalized"))
        asked.append((title, "normalized − unprocessed", plain, other))
    return present(asked)


def present(asked: Sequence[tuple[str, str, Row | None, Row | None]]) -> list[Pair]:
    """Pairs whose cells are both wanted, finished or not."""
    return [Pair(subject, what, first, second) for subject, what, first, second in asked if first and second]


def _starred(row: Row) -> bool:
    return row.paper is not None and not row.paper.condition_stated


LABELS = (
    ("dataset", lambda row: row.cell.wanted.title),
    ("labelled by", lambda row: row.cell.wanted.label),
    ("condition", lambda row: row.cell.wanted.condition),
    ("chance", chance),
)
