"""Any sweep as a table: its cells, and every two of them that differ in one setting."""

from collections.abc import Callable, Sequence
from itertools import combinations

from src.report import paired
from src.report import scored_cells as desks
from src.report.accuracies import Label, cells_table
from src.report.document import Report
from src.report.paired import Pair
from src.report.scored_cells import Row, ScoredCells
from src.tracking.cell import Cell

_OTHER_CLIPS = "split"


def compare(desk: ScoredCells, name: str = "compare", title: str = "Comparison of a sweep") -> Report:
    """The cells on the desk, and paired comparisons of those that differ in one setting and share their clips."""
    cells, repeated = _distinct(desk.cells)
    rows = [desk.row(cell) for cell in cells]
    pairs, notes = pairs_of(rows)
    found = paired.family(pairs)
    tables = (
        cells_table("", "Every cell", _labels(rows), rows),
        paired.comparisons("comparisons", "Cells that differ in one setting, on the same test clips", found),
    )
    return Report(
        name,
        title,
        tables=tuple(table for table in tables if table.rows),
        notes=(*desks.remarks(cells), *repeated, *notes),
        missing=desks.missing(cells),
        errors=(*desks.errors(cells), *paired.errors(found)),
        sources=desks.sources(cells),
    )


def _distinct(cells: Sequence[Cell]) -> tuple[list[Cell], tuple[str, ...]]:
    """Cells without those that have the same runs as an earlier one, and a note on each that was left out."""
    kept: dict[object, Cell] = {}
    notes = []
    for cell in cells:
        key = frozenset(run.run_id for run in cell.runs) or id(cell)
        if key in kept:
            notes.append(f"{cell.wanted.name} has the runs of {kept[key].wanted.name}: a run counts once.")
        kept.setdefault(key, cell)
    return list(kept.values()), tuple(notes)


def pairs_of(rows: Sequence[Row]) -> tuple[list[Pair], tuple[str, ...]]:
    """Pairs that differ in one setting; and what was left out."""
    pairs, datasets, splits = [], 0, 0
    for first, second in combinations(rows, 2):
        one, other = dict(first.cell.wanted.axes), dict(second.cell.wanted.axes)
        different = [key for key in one if one[key] != other.get(key)]
        if len(different) != 1 or one.keys() != other.keys():
            continue
        key = different[0]
        if key.split(".")[0] == _OTHER_CLIPS:
            splits += 1
        elif first.cell.wanted.base != second.cell.wanted.base or key == "dataset.root":
            datasets += 1
        else:
            pairs.append(_pair(first, second, key))
    told = []
    if datasets:
        told.append("Datasets are not compared with each other: they share no clips.")
    if splits:
        told.append("Splits are not compared with each other: they test different clips.")
    return pairs, tuple(told)


def _pair(first: Row, second: Row, key: str) -> Pair:
    one, other = dict(first.cell.wanted.axes), dict(second.cell.wanted.axes)
    rest = [value for axis, value in one.items() if axis not in (key, "dataset")]
    what = f"{', '.join((*rest, key))}: {other[key]} − {one[key]}"
    titles = dict.fromkeys((first.cell.wanted.title, second.cell.wanted.title))
    return Pair(" / ".join(titles), what, first, second)


def _labels(rows: Sequence[Row]) -> tuple[Label, ...]:
    """The dataset, and every setting that the sweep varies."""
    keys = dict.fromkeys(key for row in rows for key, _ in row.cell.wanted.axes if key != "dataset")
    labels: list[Label] = [("dataset", lambda row: row.cell.wanted.title)]
    if "preprocess" not in keys:
        labels.append(("preprocess", lambda row: row.cell.wanted.condition))
    return (*labels, *((key, _axis(key)) for key in keys))


def _axis(key: str) -> Callable[[Row], str]:
    return lambda row: dict(row.cell.wanted.axes).get(key, "")
