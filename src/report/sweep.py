"""The end of a sweep: every job in one table, then dataset by condition with intervals and what made each number."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from src.evaluation.intervals import wilson
from src.report.table import text_table

if TYPE_CHECKING:
    from src.sweeping import JobResult

_CELL = ("dataset", "preprocess", "spectrogram", "backbone", "weights", "head", "split", "origin")


def summary(results: "Sequence[JobResult]", jobs: int) -> str:
    """What a person reads when a sweep ends, finished or not."""
    finished = [result for result in results if result.reason is None]
    parts = ["", _jobs_table(results)]
    if any(result.outcome for result in finished):
        parts += ["", comparison([result.outcome for result in finished if result.outcome])]
    missing = jobs - len(results)
    failed = len(results) - len(finished)
    parts += [
        "",
        f"{len(finished)} of {jobs} jobs finished"
        + f", {failed} failed" * bool(failed)
        + f", {missing} not begun" * bool(missing),
    ]
    return "\n".join(parts)


def comparison(outcomes: Sequence[dict[str, Any]]) -> str:
    """Mean accuracy over seeds for each cell, its 95 % interval (Wilson, on the test clips), and what made it."""
    cells: dict[tuple[str, ...], list[dict[str, Any]]] = defaultdict(list)
    for outcome in outcomes:
        cells[tuple(outcome["tags"][key] for key in _CELL)].append(outcome)
    rows = []
    for key, members in sorted(cells.items()):
        dataset, preprocess, spectrogram, backbone, weights, head, split, origin = key
        accuracies = [member["accuracy"] for member in members]
        clips = members[0]["test_clips"]
        interval = wilson(mean(accuracies) * clips, clips)
        spread = f"{100 * stdev(accuracies):.1f}" if len(accuracies) > 1 else "-"
        picture = "" if spectrogram == "none" else f"{spectrogram}, "
        reach = f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"
        made = f"{picture}{backbone} ({weights}), {head}, split {split}"
        accuracy = f"{100 * mean(accuracies):.1f}"
        rows.append((dataset, preprocess, accuracy, reach, spread, str(len(members)), str(clips), origin, made))
    header = ("dataset", "condition", "accuracy %", "95 % interval", "sd", "seeds", "test clips", "audio", "made by")
    note = (
        "accuracy: mean over seeds; interval: Wilson on the test clips (seeds repeat them and add none)"
        + "\nrendered: a synthesised stand-in, not comparable with published numbers"
        * any(r[7] == "rendered" for r in rows)
    )
    return f"{text_table(header, rows)}\n{note}"


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
