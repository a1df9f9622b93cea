"""What each result is worth: pixels, random weights, and loudness or length alone beside it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from src.evaluation.intervals import Interval, accuracy_interval
from src.evaluation.text_table import NONE, points, span
from src.report import paired
from src.report import scored_cells as desks
from src.report.accuracies import accuracy_text, cells_table
from src.report.document import MISSING, Report, Table
from src.report.followup import present
from src.report.scored_cells import Row, ScoredCells
from src.tracking.predictions import Predictions

EXPERIMENTS = ("table2_network", "control_pixels", "control_random")
_CONDITIONS = ("unprocessed", "normalized")
_NAMES = dict(zip(EXPERIMENTS, ("network", "pixels", "random weights"), strict=True))
_FOREST = {"n_estimators": 300, "min_samples_leaf": 3, "random_state": 0, "n_jobs": 1}
_QUIETEST = 1e-6
_HEADER = (
    *("dataset", "condition", "network", "pixels", "random weights", "chance", "loudness alone", "duration alone"),
    *("test clips", "audio"),
)
_NOTES = (
    "Pixels: the same head on the picture itself, 32 x 42. Random weights: the same network untrained. Loudness and "
    "duration alone: a random forest (300 trees, leaves of three clips or more) on a clip's RMS as recorded, or on its "
    "length, on the same split, with its 95 % interval; what they get right, the network may have got right for the "
    "same reason. Chance: always saying the largest class.",
)


@dataclass(frozen=True)
class Alone:
    """What one number per clip is worth: test clips it gets right, of `clips`, and the interval of their share."""

    correct: int
    clips: int
    interval: Interval | None

    @property
    def text(self) -> str:
        """Accuracy and interval in percent."""
        return f"{points(self.correct / self.clips)} ({span(self.interval)})"


LABELS = (
    ("dataset", lambda row: row.cell.wanted.title),
    ("control", lambda row: _NAMES[row.cell.wanted.experiment]),
    ("condition", lambda row: row.cell.wanted.condition),
)


def controls(desk: ScoredCells) -> Report:
    """A row per dataset and condition; the network against each control, on the same test clips."""
    rows = [row for row in desk.of(*EXPERIMENTS) if row.cell.wanted.condition in _CONDITIONS]
    keys = list(dict.fromkeys((row.cell.wanted.title, row.cell.wanted.condition) for row in rows))
    asked = []
    for title, condition in keys:
        network, *others = (desk.find(experiment, title, condition) for experiment in EXPERIMENTS)
        for experiment, control in zip(EXPERIMENTS[1:], others, strict=True):
            asked.append((title, f"{condition}: network − {_NAMES[experiment]}", control, network))
    found = paired.family(present(asked))
    cells = [row.cell for row in rows]
    tables = (
        _wide(desk, keys),
        cells_table(
            "cells", "Every control", LABELS, [row for row in rows if row.cell.wanted.experiment != EXPERIMENTS[0]]
        ),
        paired.comparisons("comparisons", "The network against its controls, on the same test clips", found),
    )
    return Report(
        "controls",
        "Controls",
        tables=tuple(table for table in tables if table.rows),
        notes=desks.remarks(cells),
        missing=desks.missing(cells),
        errors=(*desks.errors(cells), *paired.errors(found)),
        sources=desks.sources(cells),
    )


def alone(found: Predictions, values: Float64[np.ndarray, " clips"]) -> Alone | None:
    """A random forest on one number per clip; None where one is unknown, or the training clips are of one class."""
    from sklearn.ensemble import RandomForestClassifier

    train, test = found.where("train"), found.where("test")
    labels = np.array(found.labels)
    if np.isnan(values).any() or not len(test) or len(set(labels[train])) < 2:
        return None
    forest = RandomForestClassifier(**_FOREST).fit(values[train, None], labels[train])
    right = forest.predict(values[test, None]) == labels[test]
    interval = accuracy_interval(right[None], [found.groups[i] for i in test])
    return Alone(int(np.count_nonzero(right)), len(test), interval)


def _wide(desk: ScoredCells, keys: Sequence[tuple[str, str]]) -> Table:
    known: dict[str, tuple[Alone | None, Alone | None]] = {}
    texts, data = [], []
    for title, condition in keys:
        rows = [desk.find(experiment, title, condition) for experiment in EXPERIMENTS]
        some = next((row for row in rows if row and row.cell.predictions is not None), None)
        if some and title not in known:
            known[title] = _probes(some)
        probes = known.get(title, (None, None))
        tested = some.cell.tested if some else None
        shown = (points(tested.chance), *(_text(one) for one in probes)) if tested else (NONE, MISSING, MISSING)
        clips, audio = (str(some.cell.clusters) if some else NONE), paired.audio(*(r for r in rows if r)) or NONE
        texts.append((title, condition, *(accuracy_text(row) for row in rows), *shown, clips, audio))
        data.append(_data(title, condition, rows, probes))
    return Table("", "Results and their controls", _HEADER, tuple(texts), tuple(data), _NOTES)


def _probes(row: Row) -> tuple[Alone | None, Alone | None]:
    found = row.cell.predictions
    if found is None:
        raise LookupError("asked of a row without runs")
    return alone(found, 20 * np.log10(np.maximum(found.rms, _QUIETEST))), alone(found, found.duration)


def _text(one: Alone | None) -> str:
    return NONE if one is None else one.text


def _data(
    title: str, condition: str, rows: Sequence[Row | None], probes: tuple[Alone | None, Alone | None]
) -> dict[str, object]:
    scores = {_NAMES[e]: row.score.accuracy for e, row in zip(EXPERIMENTS, rows, strict=True) if row and row.score}
    return {
        "dataset": title,
        "condition": condition,
        **{name: 100 * scores[name] if name in scores else None for name in _NAMES.values()},
        **{
            name: None if one is None else 100 * one.correct / one.clips
            for name, one in zip(("loudness_alone", "duration_alone"), probes, strict=True)
        },
        "audio": paired.audio(*(row for row in rows if row)),
        "run_ids": " ".join(run.run_id for row in rows if row for run in row.cell.runs),
    }
