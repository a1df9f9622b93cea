"""The end of a sweep: every job in one table, then dataset by condition with intervals and what made each number."""

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import replace
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

import numpy as np

from src.evaluation.intervals import Clusters, Interval, accuracy_interval
from src.evaluation.text_table import NONE, points, span, text_table
from src.tracking.naming import CELL, cell_of, made_by

if TYPE_CHECKING:
    from src.cli.sweep import JobResult

_UNBALANCED = 0.6
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

    Jobs that gave one run, and runs of one identity, count once; a note says which settings made no difference.

    Args:
        results: those with an outcome. Settings that a cell's tags do not tell are told with what made it.
    """
    cell_of_run: dict[str, object] = {}
    cells: dict[object, list[JobResult]] = defaultdict(list)
    for result in _pooled(results):
        if result.outcome:
            tags = result.outcome["tags"]
            cell = cell_of_run.setdefault(_identity(result), tags.get("cell") or (cell_of(tags), _settings(result)))
            cells[cell].append(result)
    shown = [
        (_tags(members), set.intersection(*(set(_settings(one)) for one in members)), members)
        for members in cells.values()
    ]
    alike = Counter(tags for tags, _, _ in shown)
    common = set.intersection(*(settings for _, settings, _ in shown))
    rows = []
    for tags, settings, members in sorted(shown, key=lambda one: (one[0], sorted(one[1]))):
        own = [word for word in _settings(members[0]) if word in settings - common] if alike[tags] > 1 else []
        outcomes = {_identity(member): member.outcome for member in reversed(members) if member.outcome}
        rows.append(_row(dict(zip(CELL, tags, strict=True)), own, list(outcomes.values())[::-1]))
    header = ("dataset", "condition", "accuracy %", "95 % interval", "sd", "runs", "test clips", "audio", "made by")
    notes = [_NOTE]
    if any(row[3] == NONE for row in rows):
        notes.append(f"{NONE}: no interval; all test clips are of one group, or it is not known which were right")
    if any(row[7] == "rendered" for row in rows):
        notes.append("rendered: a synthesised stand-in, not comparable with published numbers")
    notes += _unbalanced(results)
    return "\n".join((text_table(header, rows), *notes, *_repeated(results)))


def _unbalanced(results: "Sequence[JobResult]") -> list[str]:
    """A line for each dataset most of whose test clips are of one class."""
    shares: dict[str, float] = {}
    for result in results:
        share = ((result.outcome or {}).get("correct") or {}).get("majority")
        if share is not None and share > _UNBALANCED:
            name = str((result.outcome or {})["tags"]["dataset"])
            shares[name] = max(share, shares.get(name, 0.0))
    return [
        f"{name}: {points(share)} % of the test clips are of one class, so that always saying it is right as often; "
        "read test/balanced_accuracy and macro F1 in MLflow"
        for name, share in sorted(shares.items())
    ]


def _pooled(results: "Sequence[JobResult]") -> "list[JobResult]":
    """Jobs that tested one fold each, as one for all the clips of their folds; a seed by itself, if it has as many."""
    single: list[JobResult] = []
    folds: dict[tuple[Any, ...], dict[str, JobResult]] = defaultdict(dict)
    for result in results:
        tags = (result.outcome or {}).get("tags", {})
        if tags.get("fold", "all") == "all" or (result.outcome or {}).get("correct") is None:
            single.append(result)
            continue
        settings = tuple(word for word in _settings(result) if not word.startswith("split.fold="))
        folds[cell_of(tags), settings, tags["seed"]].setdefault(tags["fold"], result)
    most = {key[:2]: max(len(of) for other, of in folds.items() if other[:2] == key[:2]) for key in folds}
    for key, of_fold in folds.items():
        members = [of_fold[name] for name in sorted(of_fold)]
        whole = len(members) > 1 and len(members) == most[key[:2]]
        single += [_one_of(members)] if whole else members
    return single


def _one_of(members: "Sequence[JobResult]") -> "JobResult":
    outcomes = [member.outcome for member in members if member.outcome]
    groups: list[int] = []
    for outcome in outcomes:  # numbers of groups are each run's own
        groups += [len(groups) + group for group in outcome["correct"]["groups"]]
    correct = "".join(outcome["correct"]["correct"] for outcome in outcomes)
    digests = [outcome["correct"]["digest"] for outcome in outcomes]
    tags = {**outcomes[0]["tags"], "identity": " ".join(sorted(_identity(member) for member in members))}
    tags.pop("cell", None)
    tags["fold"] = f"{len(members)} folds"
    common = set.intersection(*(set(member.overrides) for member in members))
    return replace(
        members[0],
        overrides=[word for word in members[0].overrides if word in common],
        outcome={
            **outcomes[0],
            "accuracy": correct.count("1") / len(correct),
            "test_clips": len(correct),
            "tags": tags,
            "correct": {"digest": " ".join(digests), "groups": groups, "correct": correct},
        },
    )


def _identity(result: "JobResult") -> str:
    """What tells a run from others, however often it was run."""
    outcome = result.outcome or {}
    return str(outcome["tags"].get("identity", outcome["run_id"]))


def _settings(result: "JobResult") -> tuple[str, ...]:
    """Overrides of a job without its seed, and the clips its run saw; runs on other clips are another cell."""
    data = str((result.outcome or {}).get("tags", {}).get("data_digest", ""))
    return (*(word for word in result.overrides if not word.startswith("seed=")), f"data {data[:8]}")


def _tags(members: "Sequence[JobResult]") -> tuple[str, ...]:
    outcome = members[0].outcome
    return cell_of(outcome["tags"]) if outcome else ()


def _repeated(results: "Sequence[JobResult]") -> list[str]:
    """A line for each set of settings in which jobs differ that are one run."""
    jobs: dict[str, list[JobResult]] = defaultdict(list)
    for result in results:
        if result.outcome:
            jobs[_identity(result)].append(result)
    repeated: Counter[tuple[str, ...]] = Counter()
    for same in jobs.values():
        words = [set(one.overrides) for one in same]
        differing = words[0].union(*words) - words[0].intersection(*words)
        names = {word.partition("=")[0] for word in differing}
        repeated[tuple(sorted(names))] += len(same) - 1
    return [_repeated_line(names, count) for names, count in sorted(repeated.items()) if count]


def _repeated_line(names: tuple[str, ...], count: int) -> str:
    jobs = f"{count} jobs are runs of other jobs" if count > 1 else "1 job is the run of another job"
    if not names:
        return f"{jobs}, given twice; each run counts once"
    reason = " (no randomness)" if names == ("seed",) else ""
    return f"{jobs}, since {', '.join(names)} changes nothing there{reason}; each run counts once"


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
        ", ".join((made_by(tags), *settings, *_folds(members))),
    )


def _folds(members: Sequence[dict[str, Any]]) -> list[str]:
    """Which fold tested, or how many did."""
    names = {member["tags"].get("fold", "") for member in members} - {""}
    return [
        "each fold in turn" if name == "all" else name if name.endswith(" folds") else f"fold {name}" for name in names
    ]


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
