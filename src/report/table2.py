"""Table 2: accuracy of the network and of the baseline, and which differences are real."""

from collections.abc import Sequence

from src.evaluation.text_table import NONE
from src.report import paired
from src.report import scored_cells as desks
from src.report.accuracies import accuracy_text, cells_table, paper_text
from src.report.document import Report, Table
from src.report.paired import Compared, Pair
from src.report.scored_cells import BASELINE, NETWORK, Row, ScoredCells

EXPERIMENTS = {"table2_network": NETWORK, "table2_baseline": BASELINE}
_PAPER = ("unprocessed", "normalized")


def table2(desk: ScoredCells) -> Report:
    """The paper's table, every cell with its statistics, and two families of paired comparisons."""
    rows = desk.of(*EXPERIMENTS)
    paper, beyond = (paired.family(pairs) for pairs in _pairs(desk, rows))
    tables = (
        wide_table(desk, rows),
        cells_table("", "Every cell of table 2", LABELS, rows),
        paired.comparisons("comparisons", "The paper's comparisons, on the same test clips", paper),
        paired.comparisons("beyond", "Beyond the paper: the augmented condition", beyond),
    )
    cells = [row.cell for row in rows]
    return Report(
        "table2",
        "Table 2: accuracy of the network and the baseline",
        tables=tuple(table for table in tables if table.rows),
        notes=desks.remarks(cells),
        missing=desks.missing(cells),
        errors=(*desks.errors(cells), *paired.errors((*paper, *beyond))),
        sources=desks.sources(cells),
    )


def classifier(row: Row) -> str:
    """`network` or `baseline`."""
    return EXPERIMENTS.get(row.cell.wanted.experiment, "")


LABELS = (
    ("dataset", lambda row: row.cell.wanted.title),
    ("classifier", classifier),
    ("condition", lambda row: row.cell.wanted.condition),
)


def wide_table(desk: ScoredCells, rows: Sequence[Row]) -> Table:
    """Datasets down, classifier and condition across, the paper's value before ours."""
    columns = list(dict.fromkeys((row.cell.wanted.experiment, row.cell.wanted.condition) for row in rows))
    titles = list(dict.fromkeys(row.cell.wanted.title for row in rows))
    header, texts, data = ["dataset", "audio", "classes"], [], []
    for experiment, condition in columns:
        head = f"{EXPERIMENTS[experiment]}, {condition}"
        header += [f"paper: {head}", head] if condition in _PAPER else [head]
    for title in titles:
        found = [desk.find(experiment, title, condition) for experiment, condition in columns]
        shown = []
        for (_, condition), row in zip(columns, found, strict=True):
            published = [paper_text(row.paper if row else None)] if condition in _PAPER else []
            shown += [*published, accuracy_text(row)]
        classes = {len(row.cell.tested.classes) for row in found if row and row.cell.tested}
        audio = paired.audio(*(row for row in found if row)) or NONE
        text = (title, audio, "/".join(map(str, sorted(classes))) or NONE, *shown)
        texts.append(text)
        data.append(dict(zip(header, text, strict=True)))
    notes = (
        "Mean and standard deviation over seeds, in percent; the paper's own values beside ours. (3/5): three of five "
        "seeds have finished.",
    )
    title = "Accuracy by dataset, classifier and condition"
    return Table("wide", title, tuple(header), tuple(texts), tuple(data), notes)


def _pairs(desk: ScoredCells, rows: Sequence[Row]) -> tuple[list[Pair], list[Pair]]:
    paper: list[Pair] = []
    beyond: list[Pair] = []
    network, baseline = EXPERIMENTS
    for title in dict.fromkeys(row.cell.wanted.title for row in rows):
        cell = {(e, c): desk.find(e, title, c) for e in EXPERIMENTS for c in (*_PAPER, "augmented")}
        for experiment, name in EXPERIMENTS.items():
            plain, normal, augmented = (cell[experiment, c] for c in (*_PAPER, "augmented"))
            if plain and normal:
                paper.append(Pair(title, f"{name}: normalized − unprocessed", plain, normal))
            if normal and augmented:
                beyond.append(Pair(title, f"{name}: augmented − normalized", normal, augmented))
        for condition in (*_PAPER, "augmented"):
            first, second = cell[baseline, condition], cell[network, condition]
            if first and second:
                family = paper if condition in _PAPER else beyond
                family.append(Pair(title, f"{condition}: network − baseline", first, second))
    return paper, beyond


def change_of_normalisation(found: Sequence[Compared], classifier: str) -> list[Compared]:
    """Of the paper's comparisons, those of one classifier's two conditions."""
    return [one for one in found if one.pair.what == f"{classifier}: normalized − unprocessed"]
