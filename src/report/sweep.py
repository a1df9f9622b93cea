"""The end of a sweep: every job in one table, then dataset by condition with intervals and what made each number."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from src.evaluation.intervals import wilson
from src.report.naming import CELL, cell_of, made_by
from src.report.table import text_table

if TYPE_CHECKING:
    from src.sweeping import JobResult

_Key = tuple[tuple[str, ...], tuple[str, ...]]


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
    """Mean accuracy over seeds for each cell, its 95 % interval (Wilson, on the test clips), and what made it.

    Args:
        results: those with an outcome. Settings that a cell's tags do not tell are told with what made it.
    """
    cells: dict[_Key, list[dict[str, Any]]] = defaultdict(list)
    for result in results:
        if result.outcome:
            tags = result.outcome["tags"]
            settings = tuple(word for word in result.overrides if not word.startswith("seed="))
            # runs that saw other clips are no seeds of one cell
            data = f"data {tags.get('data_digest', '')[:8]}"
            cells[cell_of(tags), (*settings, data)].append(result.outcome)
    alike = Counter(tags for tags, _ in cells)
    common = set.intersection(*(set(settings) for _, settings in cells))
    rows = []
    for (tags, settings), members in sorted(cells.items()):
        own = [word for word in settings if word not in common] if alike[tags] > 1 else []
        rows.append(_row(dict(zip(CELL, tags, strict=True)), own, members))
    header = ("dataset", "condition", "accuracy %", "95 % interval", "sd", "seeds", "test clips", "audio", "made by")
    note = (
        "accuracy: mean over seeds; interval: Wilson on the test clips (seeds repeat them and add none)"
        + "\nrendered: a synthesised stand-in, not comparable with published numbers"
        * any(r[7] == "rendered" for r in rows)
    )
    return f"{text_table(header, rows)}\n{note}"


def _row(tags: dict[str, str], settings: Sequence[str], members: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    accuracies = [member["accuracy"] for member in members]
    clips = members[0]["test_clips"]
    interval = wilson(mean(accuracies) * clips, clips)
    return (
        tags["dataset"],
        tags["preprocess"],
        f"{100 * mean(accuracies):.1f}",
        f"{100 * interval.low:.1f} to {100 * interval.high:.1f}",
        f"{100 * stdev(accuracies):.1f}" if len(accuracies) > 1 else "-",
        str(len(members)),
        str(clips),
        tags["origin"],
        ", ".join((made_by(tags), *settings)),
    )


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
