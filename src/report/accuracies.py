"""Accuracy tables: a row per cell, and datasets against conditions as the paper prints them."""

from collections.abc import Callable, Sequence

from src.evaluation.text_table import NONE, points, signed, span
from src.report.document import MISSING, Table, percent
from src.report.paper_values import Published
from src.report.scored_cells import Row

NOTES = (
    "Accuracy on the test clips in percent, mean and standard deviation over seeds. Interval: a score interval over "
    "clips, over groups of clips where they are known, and over seeds where there are several; with one seed it holds "
    "for that run alone. See docs/statistics.md.",
    "The paper's values are what it printed. Difference and verdict: for recordings only.",
)
_UNSEEDED = ", no randomness"
Label = tuple[str, Callable[[Row], str]]


def cells_table(key: str, title: str, labels: Sequence[Label], rows: Sequence[Row]) -> Table:
    """A row per cell, with all there is to say of it.

    Args:
        labels: heading and text of the columns that name a cell.
    """
    header = (
        *(name for name, _ in labels),
        *("audio", "paper", "accuracy", "sd", "95 % interval", "macro F1", "difference", "verdict"),
        *("seeds", "test clips", "made by"),
    )
    made = dict.fromkeys((row.cell.backbone, row.cell.made_by) for row in rows if row.cell.runs)
    return Table(
        key,
        title,
        header,
        tuple((*(text(row) for _, text in labels), *_cells(row)) for row in rows),
        tuple({name: text(row) for name, text in labels} | data(row) for row in rows),
        (*NOTES, *(f"Made by {short}: {whole}." for short, whole in made)),
    )


def paper_text(paper: Published | None) -> str:
    """The paper's value; a star where it does not say which condition it is for."""
    return NONE if paper is None else points(paper.value) + "*" * (not paper.condition_stated)


def accuracy_text(row: Row | None) -> str:
    """Mean and deviation, and how many seeds there are where some are missing; `missing`, or `error`."""
    if row is None:
        return NONE
    if row.score is None:
        return "error" if row.cell.error else MISSING
    spread = "" if row.score.deviation is None else f" ± {points(row.score.deviation)}"
    partial = f" ({len(row.cell.runs)}/{len(row.cell.wanted.seeds)})" if row.cell.missing else ""
    return points(row.score.accuracy) + spread + partial


def verdict_text(row: Row) -> str:
    """What may be said of the paper's value."""
    if row.verdict is not None and row.verdict.clips_needed is not None:
        return f"{row.verdict.outcome}, {row.verdict.clips_needed} would do"
    if row.verdict is not None:
        return row.verdict.outcome
    return "stand-in" if row.paper is not None and row.cell.origin == "rendered" else NONE


def _cells(row: Row) -> tuple[str, ...]:
    cell, scored = row.cell, row.score
    seeds = (
        f"{len(cell.runs)}{_UNSEEDED if not cell.wanted.seeded else ''}"
        if not cell.missing
        else f"{len(cell.runs)} of {len(cell.wanted.seeds)}"
    )
    if scored is None:
        said = "error" if cell.error else MISSING
        return (cell.origin or NONE, paper_text(row.paper), said, *(NONE,) * 5, seeds, NONE, cell.backbone or NONE)
    return (
        cell.origin,
        paper_text(row.paper),
        points(scored.accuracy),
        NONE if scored.deviation is None else points(scored.deviation),
        span(scored.interval),
        f"{points(scored.macro_f1)} ({span(scored.macro_f1_interval)})",
        NONE if row.difference is None else signed(row.difference),
        verdict_text(row),
        seeds,
        str(cell.clusters),
        cell.backbone,
    )


def data(row: Row) -> dict[str, object]:
    """A cell as values, accuracies in percent; with its run ids, or the command that makes them."""
    cell, scored = row.cell, row.score
    told: dict[str, object] = {
        "dataset": cell.wanted.title,
        "condition": cell.wanted.condition,
        "paper": None if row.paper is None else 100 * row.paper.value,
        "paper_source": "" if row.paper is None else row.paper.source,
        "seeds": " ".join(map(str, cell.seeds)),
        "test_clips": cell.clips,
        "groups": cell.clusters.count if cell.clusters is not None and cell.clusters.grouped else None,
        "audio": cell.origin,
        "made_by": cell.made_by,
        "run_ids": " ".join(run.run_id for run in cell.runs),
        "missing_command": cell.wanted.command(cell.missing) if cell.missing else "",
        "error": cell.error,
    }
    if scored is None:
        return told
    return told | {
        "accuracy": 100 * scored.accuracy,
        "sd": None if scored.deviation is None else 100 * scored.deviation,
        **dict(zip(("low", "high"), percent(scored.interval), strict=True)),
        "macro_f1": 100 * scored.macro_f1,
        **dict(zip(("macro_f1_low", "macro_f1_high"), percent(scored.macro_f1_interval), strict=True)),
        "difference": None if row.difference is None else 100 * row.difference,
        "verdict": verdict_text(row),
        "accuracy_by_seed": " ".join(f"{100 * accuracy:.4f}" for accuracy in cell.accuracies),
    }
