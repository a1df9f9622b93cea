"""Fixed brightness against the tool's own: with `spectrogram.reference=peak`, loudness cannot show in the picture."""

from src.report import paired
from src.report import scored_cells as desks
from src.report.accuracies import cells_table
from src.report.document import Report
from src.report.followup import present
from src.report.scored_cells import ScoredCells

EXPERIMENTS = ("reference_peak", "table2_network")
_CONDITIONS = ("unprocessed", "normalized")
_NAMES = {"reference_peak": "peak", "table2_network": "full_scale"}


def reference(desk: ScoredCells) -> Report:
    """The same datasets with both references; with `peak` the two conditions must tie."""
    peak = desk.of("reference_peak")
    titles = list(dict.fromkeys(row.cell.wanted.title for row in peak))
    asked = []
    for title in titles:
        cell = {(e, c): desk.find(e, title, c) for e in _NAMES for c in _CONDITIONS}
        for experiment, name in _NAMES.items():
            plain, normal = (cell[experiment, condition] for condition in _CONDITIONS)
            asked.append((title, f"{name}: normalized − unprocessed", plain, normal))
        for condition in _CONDITIONS:
            first, second = cell["reference_peak", condition], cell["table2_network", condition]
            asked.append((title, f"{condition}: full_scale − peak", first, second))
    pairs = present(asked)
    found = paired.family(pairs)
    full = [row for row in desk.of("table2_network") if row.cell.wanted.condition in _CONDITIONS]
    rows = [*peak, *(row for row in full if row.cell.wanted.title in titles)]
    cells = [row.cell for row in rows]
    tables = (
        cells_table("", "Both references", LABELS, rows),
        paired.comparisons("comparisons", "Comparisons on the same test clips", found),
    )
    return Report(
        "reference",
        "The picture's reference: full scale or the clip's own peak",
        tables=tuple(table for table in tables if table.rows),
        notes=(
            "The paper's tool divides each picture by its own maximum (peak): unprocessed and normalized clips are "
            "then the same pictures, and must tie. The paper explains its results by brightness, which needs a fixed "
            "reference (full_scale, the default here).",
            *desks.remarks(cells),
        ),
        missing=desks.missing(cells),
        errors=(*desks.errors(cells), *paired.errors(found)),
        sources=desks.sources(cells),
    )


LABELS = (
    ("dataset", lambda row: row.cell.wanted.title),
    ("reference", lambda row: _NAMES[row.cell.wanted.experiment]),
    ("condition", lambda row: row.cell.wanted.condition),
)
