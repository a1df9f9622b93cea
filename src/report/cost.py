"""What an experiment costs here, beside the paper's hours."""

from collections.abc import Sequence
from statistics import mean

from src.evaluation.text_table import NONE
from src.report import paper_values
from src.report.scored_cells import Row
from src.report.verdicts import Judgement

_STAGES = ("decode", "picture", "backbone")
_HOUR = 3600.0


def cost(rows: Sequence[Row]) -> Judgement:
    """`Minutes here`: the slowest fit of any run takes less than the paper's hour by a factor of six or more.

    Features are timed where they were computed; a run that found them in the cache says nothing about them.
    """
    fits = [run.metrics["seconds/fit"] for row in rows for run in row.cell.runs if "seconds/fit" in run.metrics]
    if not fits:
        return Judgement("missing", NONE)
    evidence = (
        f"last layer: {mean(fits):.1f} s on average, {max(fits):.1f} s at most over {len(fits)} runs (paper: 1 to 2 h)"
    )
    per_dataset = [seconds for row in rows if (seconds := _features(row)) is not None]
    if per_dataset:
        low, high = min(per_dataset) / 60, max(per_dataset) / 60
        shown = f"{low:.1f} to {high:.1f}"
        evidence += f"; features of the paper's number of clips: {shown} min of one core (paper: a few minutes)"
    return Judgement("supported" if max(fits) < _HOUR / 6 else "contradicted", evidence)


def _features(row: Row) -> float | None:
    """Seconds of one core for the features of the paper's number of clips, from what ours took."""
    known = {one.name: sum(one.cardinalities) for one in paper_values.datasets()}
    spent = [sum(run.metrics.get(f"seconds/{stage}", 0.0) for stage in _STAGES) for run in row.cell.runs]
    clips = len(row.cell.predictions.ids) if row.cell.predictions is not None else 0
    if row.cell.wanted.condition == "augmented" or not spent or max(spent) == 0 or not clips:
        return None
    return max(spent) / clips * known[row.cell.wanted.title]
