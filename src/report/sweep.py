"""The end of a sweep: every job in one table, then dataset by condition with intervals and what made each number."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

import numpy as np

from src.evaluation.clusters import Clusters
from src.evaluation.intervals import Interval, accuracy_interval
from src.report.naming import CELL, cell_of, made_by
from src.report.table import NONE, points, span, text_table

if TYPE_CHECKING:
    from src.sweeping import JobResult

_Key = tuple[tuple[str, ...], tuple[str, ...]]
_NOTE = (
    "accuracy: mean over seeds; interval: over clips, over groups of clips where they are known, and over seeds where "
    "there are several (with one it holds for that run alone): docs/statistics.md"
)


def summary(results: "Sequence[JobResult]", jobs: int) -> str:
    """What a person reads when a sweep ends, finished or not."""
    finished = [result for result in results if result.reason is None]
    parts = ["", _jobs_table(results)]
    if any(result.outcome for result in finished):
        parts += ["", comparison(finished)]
    missing = jobs - len(results)
    failed = len(results) - len(finished)
    parts += [
        "",
        f"{len(finished)} of {jobs} jobs finished"
        + f", {failed} failed" * bool(failed)
        + f", {missing} not begun" * bool(missing),
    ]
    return "\n".join(parts)


def comparison(results: "Sequence[JobResult]") -> str:
    """Mean accuracy over seeds for each cell, its 95 % interval, and what made it.

    Jobs that gave one and the same run count once, and so do runs of one identity.

    Args:
        results: those with an outcome. Settings that a cell's tags do not tell are told with what made it.
    """
    distinct, repeated = _distinct(results)
    cells: dict[_Key, list[dict[str, Any]]] = defaultdict(list)
    for settings, outcome in distinct:
        cells[cell_of(outcome["tags"]), settings].append(outcome)
    alike = Counter(tags for tags, _ in cells)
    common = set.intersection(*(set(settings) for _, settings in cells))
    rows = []
    for (tags, settings), members in sorted(cells.items()):
        own = [word for word in settings if word not in common] if alike[tags] > 1 else []
        rows.append(_row(dict(zip(CELL, tags, strict=True)), own, members))
    header = ("dataset", "condition", "accuracy %", "95 % interval", "sd", "seeds", "test clips", "audio", "made by")
    notes = [_NOTE]
    if any(row[3] == NONE for row in rows):
        notes.append(f"{NONE}: no interval; all test clips are of one group, or it is not known which were right")
    if any(row[7] == "rendered" for row in rows):
        notes.append("rendered: a synthesised stand-in, not comparable with published numbers")
    return "\n".join((text_table(header, rows), *notes, *repeated))


def _distinct(
    results: "Sequence[JobResult]",
) -> tuple[list[tuple[tuple[str, ...], dict[str, Any]]], list[str]]:
    """Settings without the seed, and outcome, of each different run; and what to say of the others."""
    kept: dict[str, tuple[tuple[str, ...], dict[str, Any]]] = {}
    repeated = []
    for result in results:
        if result.outcome:
            identity = result.outcome["tags"].get("identity", result.outcome["run_id"])
            if identity in kept:
                repeated.append(str(result.number + 1))
            settings = tuple(word for word in result.overrides if not word.startswith("seed="))
            kept.setdefault(identity, (settings, result.outcome))
    told = f"job{'s' * (len(repeated) > 1)} {', '.join(repeated)}: the run of an earlier job, which counts once"
    return list(kept.values()), [told] * bool(repeated)


def _row(tags: dict[str, str], settings: Sequence[str], members: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    accuracies = [member["accuracy"] for member in members]
    interval, clips = _tested([member.get("correct") for member in members])
    return (
        tags["dataset"],
        tags["preprocess"],
        points(mean(accuracies)),
        span(interval),
        points(stdev(accuracies)) if len(accuracies) > 1 else "-",
        str(len(members)),
        clips or str(members[0]["test_clips"]),
        tags["origin"],
        ", ".join((made_by(tags), *settings)),
    )


def _tested(runs: Sequence[dict[str, Any] | None]) -> tuple[Interval | None, str]:
    """The interval of runs on the same clips, and the clips with their groups; none where that is not known."""
    known = [run for run in runs if run is not None]
    if len(known) < len(runs) or len({run["digest"] for run in known}) > 1:
        return None, ""
    groups = [str(group) for group in known[0]["groups"]]
    correct = np.array([[letter == "1" for letter in run["correct"]] for run in known])
    return accuracy_interval(correct, groups), str(Clusters.of(groups, len(groups)))


def _jobs_table(results: "Sequence[JobResult]") -> str:
    rows = []
    common = set.intersection(*(set(result.overrides) for result in results)) if len(results) > 1 else set()
    for result in results:
        told = [override for override in result.overrides if override not in common]
        shown = f"{result.outcome['accuracy']:.3f}" if result.outcome else "-"
        run = result.outcome["run_id"] if result.outcome else "-"
        row = (str(result.number + 1), " ".join(told), shown, f"{result.seconds:.1f}", _state(result), run)
        rows.append(row)
    return text_table(("job", "settings", "accuracy", "seconds", "state", "run"), rows)


def _state(result: "JobResult") -> str:
    if result.reason is not None:
        return f"failed: {(result.reason.splitlines() or ['no reason given'])[0]}"
    return "known before" if result.outcome and result.outcome["known"] else "finished"
