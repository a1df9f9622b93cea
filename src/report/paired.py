"""Pairs of cells on the same test clips, tested as one family."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Float64

from src.errors import UserError
from src.evaluation.comparison import Comparison, Votes, compare
from src.evaluation.statistics import holm
from src.evaluation.text_table import NONE, signed, span
from src.report.document import MISSING, Table, p_value, percent
from src.report.scored_cells import Row
from src.tracking.cell import Cell

ALPHA = 0.05
TWO_POINTS = 0.02
"""What the paper takes for significant (section 5)."""

NOTES = (
    "Difference: second minus first, accuracy averaged over seeds, in points. Interval: cluster-robust t, over groups "
    "of clips where they are known, and over seeds where there are several; not corrected for the number of rows. p: "
    "the larger of that t test's and of the exact sign-flip test's over groups, corrected for the number of rows "
    "(Holm). Higher or lower: it is at most 0.05; a tie: it is above. McNemar: exact, on the seeds' majority votes, "
    "likewise corrected; only where clips are independent.",
    "No verdict: with 5 groups or fewer no test over groups can reach 0.05, and one run of a fine-tuned network says "
    "nothing about other seeds. With one seed everything holds for these runs alone. 2 points: the paper calls a "
    "difference significant from two points on; marked where that and the test disagree. See docs/statistics.md.",
)


@dataclass(frozen=True, eq=False)
class Pair:
    """Two cells to be compared: `subject` (a dataset, say) and `what` (second minus first) name them."""

    subject: str
    what: str
    first: Row
    second: Row


@dataclass(frozen=True, eq=False)
class Compared:
    """Outcome of one pair within its family.

    Attributes:
        result: None where there is none, for the reason in `error`, or because runs are missing (error empty).
        p, p_votes: of the comparison and of McNemar's test, corrected by Holm; nan where there is none.
    """

    pair: Pair
    result: Comparison | None
    error: str = ""
    p: float = float("nan")
    p_votes: float = float("nan")

    @property
    def outcome(self) -> Literal["higher", "lower", "tie", "no verdict", "missing", "error"]:
        """What the test says of the second cell."""
        if self.result is None:
            return "error" if self.error else "missing"
        if self.result.refusal:
            return "no verdict"
        if self.p > ALPHA:
            return "tie"
        return "higher" if self.result.difference > 0 else "lower"

    @property
    def two_points(self) -> bool:
        """Whether the paper's rule calls it different; a rounding error short of two points is two points."""
        return self.result is not None and abs(self.result.difference) >= TWO_POINTS - 1e-9

    @property
    def paper(self) -> float | None:
        """The paper's difference, where it has both and says which condition each is for."""
        first, second = self.pair.first.paper, self.pair.second.paper
        if first is None or second is None or not (first.condition_stated and second.condition_stated):
            return None
        return second.value - first.value


def family(pairs: Sequence[Pair]) -> list[Compared]:
    """Compare pairs and correct for their number; those that are not tested do not count."""
    found = [_compared(pair) for pair in pairs]
    p = _corrected([np.nan if one.result is None else one.result.p for one in found])
    votes = [np.nan if one.result is None or one.result.votes is None else one.result.votes.p for one in found]
    return [replace(one, p=float(p), p_votes=float(v)) for one, p, v in zip(found, p, _corrected(votes), strict=True)]


def _corrected(p: Sequence[float]) -> Float64[np.ndarray, " pairs"]:
    """Holm's correction of those that are not nan."""
    corrected = np.array(p, dtype=np.float64)
    tested = ~np.isnan(corrected)
    corrected[tested] = holm(corrected[tested])
    return corrected


def _compared(pair: Pair) -> Compared:
    first, second = pair.first.cell, pair.second.cell
    if not (first.runs and second.runs):
        return Compared(pair, None)
    try:
        return Compared(pair, compare(first.compared, second.compared))
    except UserError as error:
        return Compared(pair, None, str(error))


def comparisons(key: str, title: str, found: Sequence[Compared]) -> Table:
    """The family as a table."""
    header = (
        *("dataset", "second − first", "difference", "95 % interval", "p", "McNemar p", "outcome", "2 points"),
        *("paper's difference", "test clips", "audio"),
    )
    rows, data = zip(*((_text(one), _data(one)) for one in found), strict=True) if found else ((), ())
    return Table(key, title, header, rows, data, NOTES if found else ())


def errors(found: Sequence[Compared]) -> tuple[str, ...]:
    """Pairs that give no number although both cells have runs."""
    return tuple(f"{one.pair.subject}, {one.pair.what}: {one.error}" for one in found if one.error)


def cells(pairs: Sequence[Pair]) -> list[Cell]:
    """The cells that pairs are made of."""
    return [row.cell for pair in pairs for row in (pair.first, pair.second)]


def audio(*rows: Row) -> str:
    """`recorded`, `rendered`, or both where cells differ; empty without runs."""
    return " and ".join(sorted({row.cell.origin for row in rows if row.cell.origin}))


def _text(one: Compared) -> tuple[str, ...]:
    result, paper = one.result, one.paper
    shown_paper = NONE if paper is None else signed(paper)
    origin = audio(one.pair.first, one.pair.second) or NONE
    if result is None:
        said = "no number: see errors" if one.error else MISSING
        return (one.pair.subject, one.pair.what, said, *(NONE,) * 5, shown_paper, NONE, origin)
    return (
        one.pair.subject,
        one.pair.what,
        signed(result.difference),
        span(result.interval, signed),
        p_value(one.p),
        p_value(one.p_votes),
        f"{one.outcome}: {result.refusal}" if result.refusal else one.outcome,
        _rule(one),
        shown_paper,
        str(result.clusters),
        origin,
    )


def _rule(one: Compared) -> str:
    if one.outcome == "no verdict":
        return NONE
    significant = one.outcome != "tie"
    if one.two_points == significant:
        return "agrees"
    return "disagrees: says different" if one.two_points else "disagrees: says equal"


def _data(one: Compared) -> dict[str, object]:
    result = one.result
    told: dict[str, object] = {
        "dataset": one.pair.subject,
        "second_minus_first": one.pair.what,
        "first": one.pair.first.cell.wanted.name,
        "second": one.pair.second.cell.wanted.name,
        "outcome": one.outcome,
        "paper_difference": None if one.paper is None else 100 * one.paper,
        "audio": audio(one.pair.first, one.pair.second),
        "error": one.error,
    }
    if result is None:
        return told
    return told | {
        "difference": 100 * result.difference,
        **dict(zip(("low", "high"), percent(result.interval), strict=True)),
        "p": result.p,
        "p_holm": one.p,
        "p_sign_flip": result.p_flip,
        "refusal": result.refusal,
        **({} if result.votes is None else _votes(result.votes, one.p_votes)),
        "two_points": one.two_points,
        "clips": result.clusters.clips,
        "groups": result.clusters.count if result.clusters.grouped else None,
        "run_ids": " ".join(run.run_id for cell in (one.pair.first.cell, one.pair.second.cell) for run in cell.runs),
    }


def _votes(votes: Votes, corrected: float) -> dict[str, object]:
    return {
        "only_first": votes.only_first,
        "only_second": votes.only_second,
        "tied_votes": votes.tied,
        "p_mcnemar": votes.p,
        "p_mcnemar_holm": corrected,
    }
