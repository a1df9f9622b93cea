"""What a finished run's model endures: curves drawn, written down and tracked beneath the run."""

import csv
import io
import logging
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from src.cli.terminal import progress_of
from src.config import build as configure
from src.config import select_run
from src.data.writing import write_asked
from src.errors import UserError
from src.evaluation.text_table import span, text_table
from src.features.cache import digest_of
from src.robustness.curves import Point, chosen, measure
from src.robustness.figure import draw
from src.robustness.perturb import KINDS, MP3_KBIT, UNDISTURBED, Disturbance
from src.tracking import provenance
from src.tracking.checkpoint import TrainedModel
from src.tracking.naming import made_by
from src.tracking.predictions import PREDICTIONS, read_predictions
from src.tracking.store import Run, Store

log = logging.getLogger(__name__)

OF = "robustness.of"
_KEY = "robustness.key"


def robustness(cfg: DictConfig) -> None:
    """Measure, draw and track; see conf/robustness.yaml.

    Raises:
        UserError: no such run, its clips or its backbone are not to be had, or a strength that is impossible.
    """
    disturbances = wanted(cfg)
    model, store = select_run.open_model(cfg), select_run.store(cfg)
    place = select_run.runtime(cfg, progress_of(cfg))
    contents = select_run.clips_of(model.run, model.settings, cfg.root, place)
    predictions = read_predictions(store.artifact(model.run.run_id, PREDICTIONS), model.run.run_id)
    where = predictions.where("test")
    ids, labels = ([column[i] for i in where] for column in (predictions.ids, predictions.labels))
    clips = chosen(contents, ids, labels, model.classes)
    told = place.progress(f"{clips.contents.dataset.name}: disturbed clips")
    points = measure(model, clips, disturbances, cache=place.cache, workers=place.workers, progress=told)
    run = model.run
    name = f"{run.tags['dataset']}-{run.run_id[:8]}"
    title = f"{run.tags['dataset']} {run.tags['preprocess']}, {points[0].clips} test clips, run {run.run_id[:8]}\n"
    files = {
        f"{name}.png": draw(points, clips.chance, title + made_by(run.tags)),
        f"{name}.csv": as_csv(points, run.run_id).encode(),
    }
    folder = Path(str(cfg.folder))
    write_asked(f"folder={folder}", {folder / name: content for name, content in files.items()})
    child = _tracked(store, model, disturbances, points, files)
    sys.stdout.write(f"{_table(points)}\n{folder}/{name}.png, .csv; MLflow: run {child} beneath run {run.run_id}\n")


def wanted(cfg: DictConfig) -> list[Disturbance]:
    """The disturbances that a configuration asks for; values that change nothing are the undisturbed point.

    Raises:
        UserError: a value is no number, or impossible.
    """
    seed, settings, found = configure.parse_int("noise_seed", cfg.noise_seed), configure.plain(cfg), []
    for kind in KINDS.values():
        values = settings[kind.name] or []
        if not isinstance(values, list):
            raise UserError(f"{kind.name}: got {values!r}; expected a list, e.g. {kind.name}=[{values}]")
        for value in values:
            number = not isinstance(value, bool) and isinstance(value, int | float)
            if not number or not kind.low <= value <= kind.high:
                raise UserError(
                    f"{kind.name}: got {value!r}; expected {kind.low:g} to {kind.high:g} {kind.unit}".strip()
                )
            if kind.name == "mp3" and value not in MP3_KBIT:
                raise UserError(f"mp3: got {value:g} kbit/s; expected some of {', '.join(map(str, MP3_KBIT))}")
            if value != kind.neutral:
                found.append(Disturbance(kind.name, float(value), seed))
    if not found:
        raise UserError(f"nothing to measure: {', '.join(KINDS)} are all empty; give e.g. noise=[20,10,0]")
    return list(dict.fromkeys(found))


def as_csv(points: Sequence[Point], run_id: str) -> str:
    """A row a point: run, disturbance, value, unit, accuracy with its interval, clips right and in all."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["run", "disturbance", "value", "unit", "accuracy", "low", "high", "correct", "clips"])
    for point in points:
        kind, value = _named(point)
        unit = KINDS[kind].unit if kind in KINDS else ""
        found = point.interval
        ends = ("", "") if found is None else (f"{found.low:.6f}", f"{found.high:.6f}")
        table.writerow([run_id, kind, value, unit, repr(point.accuracy), *ends, point.correct, point.clips])
    return text.getvalue()


def _named(point: Point) -> tuple[str, str]:
    one = point.disturbance
    return (UNDISTURBED, "") if one is None else (one.kind, f"{one.value:g}")


def _table(points: Sequence[Point]) -> str:
    rows = []
    for point in points:
        kind, value = _named(point)
        title = f"{KINDS[kind].title} {value} {KINDS[kind].unit}".strip() if kind in KINDS else kind
        rows.append((title, f"{100 * point.accuracy:.1f}", span(point.interval)))
    return text_table(("disturbance", "accuracy %", "95 % interval"), rows)


def _tracked(
    store: Store,
    model: TrainedModel,
    disturbances: Sequence[Disturbance],
    points: Sequence[Point],
    files: dict[str, bytes],
) -> str:
    """A run of its own beneath the model's, which stays as it was; the one there is where it says the same."""
    parent = model.run
    key = digest_of({"run": parent.run_id, "disturbances": [one.key() for one in disturbances]})
    for known in store.runs(f"tags.`{_KEY}` = '{key}' AND attributes.status = 'FINISHED'"):
        return known.run_id
    kept = ("dataset", "preprocess", "origin", "provenance")
    tags = {
        "kind": "robustness", OF: parent.run_id, _KEY: key, "mlflow.parentRunId": parent.run_id,
        **{name: parent.tags[name] for name in kept if name in parent.tags}, **provenance.code_tags(),
    }  # fmt: skip
    with store.run(f"robustness-{parent.name}", tags) as run, tempfile.TemporaryDirectory() as folder:
        run.log(metrics={"accuracy": points[0].accuracy, "clips": points[0].clips}, params=_params(disturbances))
        for point in points:
            _log(run, point)
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        run.artifacts(Path(folder))
    return run.run_id


def _params(disturbances: Sequence[Disturbance]) -> dict[str, Any]:
    values = {kind: [one.value for one in disturbances if one.kind == kind] for kind in KINDS}
    return {kind: found for kind, found in values.items() if found}


def _log(run: Run, point: Point) -> None:
    """A curve for each kind, whose steps are its values (speed in percent, length in thousandths)."""
    one = point.disturbance
    for kind in KINDS.values() if one is None else (KINDS[one.kind],):
        value = kind.neutral if one is None else one.value
        if value is not None:
            ends = {} if point.interval is None else {"/low": point.interval.low, "/high": point.interval.high}
            named = {"": point.accuracy, **ends}
            metrics = {f"accuracy/{kind.name}{end}": number for end, number in named.items()}
            run.log(metrics=metrics, step=round(kind.scale * value))
