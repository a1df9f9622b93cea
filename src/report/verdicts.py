"""When a statement of the paper counts as supported, contradicted or undecided by our runs."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from src.evaluation.statistics import Correlation
from src.evaluation.text_table import NONE, points, signed, span
from src.report.document import listed, p_value
from src.report.paired import ALPHA, TWO_POINTS, Compared
from src.report.scored_cells import Row

Verdict = Literal["supported", "contradicted", "undecided", "missing", "error"]

RULES = (
    "A difference counts where the corrected p is at most 0.05 (Holm, over all paired comparisons of this table). No "
    "difference counts where its 95 % interval lies within two points of zero, the paper's own margin. What is neither "
    "is undecided: more clips would decide it. So is what has no verdict, for too few groups or runs.",
)


@dataclass(frozen=True)
class Judgement:
    """What our runs say of a statement, and why."""

    verdict: Verdict
    evidence: str


def no_loss(one: Compared) -> Judgement:
    """`The second is not lower by two points or more`."""
    if one.result is None:
        return _nothing([one])
    if one.outcome == "lower" and one.two_points:
        return Judgement("contradicted", told(one))
    return Judgement("supported" if _within(one, low=-TWO_POINTS) else "undecided", told(one))


def direction(one: Compared, expected: Literal["higher", "lower"]) -> Judgement:
    """`The second is higher` or `lower`."""
    if one.result is None:
        return _nothing([one])
    if one.outcome == expected:
        return Judgement("supported", told(one))
    opposite = one.outcome in ("higher", "lower")
    return Judgement("contradicted" if opposite or _equal(one) else "undecided", told(one))


def higher(one: Compared) -> Judgement:
    """`The second is higher`."""
    return direction(one, "higher")


def lower(one: Compared) -> Judgement:
    """`The second is lower`."""
    return direction(one, "lower")


def some_differ(found: Sequence[Compared]) -> Judgement:
    """`It matters`, in one pair or more."""
    different = [one for one in found if one.outcome in ("higher", "lower")]
    if different:
        shown = "; ".join(f"{one.pair.subject} {_difference(one)}" for one in different)
        return Judgement("supported", f"different in {len(different)} of {_counted(found)}: {shown}")
    return _all_equal_or_open(found, when_equal="contradicted")


def none_differs(found: Sequence[Compared]) -> Judgement:
    """`It does not matter`, in any pair."""
    different = [one for one in found if one.outcome in ("higher", "lower")]
    if different:
        shown = "; ".join(f"{one.pair.subject} {_difference(one)}" for one in different)
        return Judgement("contradicted", f"different in {len(different)} of {_counted(found)}: {shown}")
    return _all_equal_or_open(found, when_equal="supported")


def related(ours: Correlation, sets: int, theirs: Correlation) -> Judgement:
    """`The one grows with the other`.

    Args:
        sets: how many datasets `ours` is over. theirs: the same from the paper's own numbers.
    """
    paper = f"the paper's own numbers: r = {theirs.r:+.2f}, p = {p_value(theirs.p)}"
    if math.isnan(ours.r):
        return Judgement("missing", f"fewer than three datasets have runs; {paper}")
    evidence = f"Spearman's r = {ours.r:+.2f} over {sets} datasets, p = {p_value(ours.p)}; {paper}"
    if ours.p > ALPHA:
        return Judgement("undecided", evidence)
    return Judgement("supported" if ours.r > 0 else "contradicted", evidence)


def seeds_agree(rows: Sequence[Row]) -> Judgement:
    """`Runs differ by never more than two points`; where one clip is worth more than that, a cell cannot contradict."""
    ranges = {row: max(row.cell.accuracies) - min(row.cell.accuracies) for row in rows if len(row.cell.accuracies) > 1}
    if not ranges:
        return Judgement("missing", "no cell has two seeds")
    beyond = [row for row, spread in ranges.items() if spread > TWO_POINTS + 1e-9]
    widest = max(ranges, key=lambda row: ranges[row])
    evidence = (
        f"more in {len(beyond)} of {len(ranges)} cells; the most is {points(ranges[widest])} points "
        f"({widest.cell.wanted.title}, {widest.cell.wanted.condition}, {widest.cell.clips} test clips)"
    )
    if not beyond:
        return Judgement("supported", evidence)
    fine = [row for row in beyond if 1 / row.cell.clips <= TWO_POINTS]
    return (
        Judgement("contradicted", evidence) if fine else Judgement("undecided", f"{evidence}, so few that one is more")
    )


def not_learnt(row: Row | None) -> Judgement:
    """`This cannot be learnt`: the accuracy is chance, within ten points."""
    if row is None or row.score is None or row.cell.tested is None:
        return Judgement("error", row.cell.error) if row is not None and row.cell.error else Judgement("missing", NONE)
    chance, interval = row.cell.tested.chance, row.score.interval
    evidence = f"{points(row.score.accuracy)} % ({span(interval)}), chance {points(chance)} %"
    if interval is None:
        return Judgement("undecided", f"{evidence}; all test clips are of one group")
    if interval.low > chance:
        return Judgement("contradicted", evidence)
    return Judgement("supported" if interval.half_width <= 0.1 else "undecided", evidence)


def told(one: Compared) -> str:
    """A comparison in words."""
    if one.result is None:
        raise LookupError("asked of a comparison without a result")
    return f"{_difference(one)} points ({span(one.result.interval, signed)}), {_p(one)}"


def _p(one: Compared) -> str:
    if one.result is not None and one.result.refusal:
        return f"no verdict: {one.result.refusal}"
    shown = p_value(one.p)
    return f"p {shown}" if shown.startswith("<") else f"p = {shown}"


def _difference(one: Compared) -> str:
    return NONE if one.result is None else signed(one.result.difference)


def _equal(one: Compared) -> bool:
    return _within(one, low=-TWO_POINTS, high=TWO_POINTS)


def _within(one: Compared, *, low: float, high: float = math.inf) -> bool:
    """Whether the interval of a difference lies between two values; not where there is no verdict."""
    if one.result is None or one.result.interval is None or one.result.refusal:
        return False
    return low < one.result.interval.low and one.result.interval.high < high


def _all_equal_or_open(found: Sequence[Compared], when_equal: Literal["supported", "contradicted"]) -> Judgement:
    if not found or any(one.result is None for one in found):
        return _nothing(found)
    open_ones = [one.pair.subject for one in found if not _equal(one)]
    if not open_ones:
        return Judgement(when_equal, f"equal within two points in all {len(found)}")
    return Judgement("undecided", f"none differs for certain; too few clips in {listed(open_ones)}")


def _nothing(found: Sequence[Compared]) -> Judgement:
    errors = [one.error for one in found if one.error]
    lacking = [one.pair.subject for one in found if one.outcome == "missing"]
    if errors:
        return Judgement("error", errors[0])
    return Judgement("missing", f"no runs: {', '.join(dict.fromkeys(lacking))}" if lacking else NONE)


def _counted(found: Sequence[Compared]) -> str:
    lacking = sum(one.result is None for one in found)
    return f"{len(found)}" + f" ({lacking} missing)" * bool(lacking)
