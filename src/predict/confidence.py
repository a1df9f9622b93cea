"""How far a run's probabilities can be trusted: fitted on its validation clips, measured on its test clips."""

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float, Int64
from omegaconf import DictConfig

from src.config import select_run
from src.data.writing import write_asked
from src.errors import UserError
from src.evaluation.confidence import (
    calibrated,
    calibration_error,
    conformal_quantile,
    fit_temperature,
    log_loss,
    prediction_set,
    reliability,
    threshold_for,
)
from src.evaluation.text_table import text_table
from src.tracking.figures import BASELINE_COLOUR, FAINT, INK, NETWORK_COLOUR, canvas, png, tidy
from src.tracking.predictions import PREDICTIONS, read_predictions

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PLACE = "confidence"
ERRORS = (0.01, 0.02, 0.05, 0.1, 0.2)
FEW = 200
"""Below so many test clips the diagram has five ranges of confidence instead of ten."""
COVERAGES = (0.8, 0.9, 0.95)


def confidence(cfg: DictConfig) -> None:
    """Write `confidence.json` and `confidence.png` to `cfg.out`, where it is given, and to the run's artifacts.

    Raises:
        UserError: no such run, or one without validation or test clips.
    """
    run, store = select_run.find_run(cfg), select_run.store(cfg)
    if run.status != "FINISHED":
        raise UserError(f"run {run.run_id}: it is {run.status}; only a finished run has predictions")
    predictions = read_predictions(store.artifact(run.run_id, PREDICTIONS), run.run_id)
    held_out, test = (predictions.examples(part, predictions.classes) for part in ("validation", "test"))
    measured = measure(held_out, test)
    title = f"{run.tags['dataset']}, run {run.run_id[:8]}: temperature {measured['temperature']:.2f}"
    files = {
        "confidence.json": json.dumps(measured, indent=1).encode(),
        "confidence.png": draw(measured, title),
    }
    if cfg.out is not None:
        write_asked(f"out={cfg.out}", {Path(str(cfg.out)) / name: content for name, content in files.items()})
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        store.put(run.run_id, Path(folder), PLACE)
    sys.stdout.write(_text(measured) + f"\nMLflow: {PLACE}/ of run {run.run_id}\n")


def measure(
    held_out: tuple[Float[np.ndarray, "validation classes"], Int64[np.ndarray, " validation"]],
    test: tuple[Float[np.ndarray, "test classes"], Int64[np.ndarray, " test"]],
) -> dict[str, Any]:
    """What the validation clips promise and the test clips show, as plain values; shares and probabilities in 0..1.

    Args:
        held_out, test: probabilities, and the position of each clip's class.
    """
    temperature = fit_temperature(*held_out)
    rows, targets = calibrated(held_out[0], temperature), held_out[1]
    tested, truth = calibrated(test[0], temperature), test[1]
    right, best = tested.argmax(axis=1) == truth, tested.max(axis=1)
    bins = 10 if len(truth) >= FEW else 5
    thresholds, sets = [], []
    for error in ERRORS:
        try:
            threshold = threshold_for(rows, targets, error)
        except UserError:
            continue
        accepted = best >= threshold
        thresholds.append(
            {
                "error": error,
                "threshold": threshold,
                "test_accepted": float(accepted.mean()),
                "test_error": float(1 - right[accepted].mean()) if accepted.any() else None,
            }
        )
    for coverage in COVERAGES:
        try:
            quantile = conformal_quantile(rows, targets, coverage)
        except UserError:
            continue
        found = [prediction_set(row, quantile) for row in tested]
        covered = [target in chosen for target, chosen in zip(truth, found, strict=True)]
        size = float(np.mean([len(chosen) for chosen in found]))
        sets.append({"coverage": coverage, "test_coverage": float(np.mean(covered)), "mean_size": size})
    return {
        "validation_clips": len(targets),
        "test_clips": len(truth),
        "temperature": temperature,
        "test": {
            name: {
                "calibration_error": calibration_error(probabilities, truth),
                "log_loss": log_loss(probabilities, truth),
                "reliability": reliability(probabilities, truth, bins),
            }
            for name, probabilities in (("as trained", test[0]), ("calibrated", tested))
        },
        "thresholds": thresholds,
        "sets": sets,
    }


def _text(measured: dict[str, Any]) -> str:
    lines = [
        f"temperature {measured['temperature']:.3g}, fitted to {measured['validation_clips']} validation clips; "
        f"measured on {measured['test_clips']} test clips"
    ]
    lines += [
        f"  {name}: calibration error {values['calibration_error']:.3f}, log loss {values['log_loss']:.3f}"
        for name, values in measured["test"].items()
    ]
    rows = [
        (f"{t['error']:.0%}", f"{t['threshold']:.3f}", f"{t['test_accepted']:.0%}",
         "-" if t["test_error"] is None else f"{t['test_error']:.1%}")
        for t in measured["thresholds"]
    ]  # fmt: skip
    if rows:
        lines.append(text_table(("error=", "threshold", "test clips above it", "of them wrong"), rows))
    sets = [(f"{s['coverage']:.0%}", f"{s['test_coverage']:.1%}", f"{s['mean_size']:.2f}") for s in measured["sets"]]
    if sets:
        lines.append(text_table(("coverage=", "test clips covered", "labels in a set"), sets))
    return "\n".join(lines)


def draw(measured: dict[str, Any], title: str) -> bytes:
    """PNG: the reliability diagram, and stated against observed coverage.

    Args:
        measured: as `measure` gives it.
    """
    figure = canvas(8.6, 4.0)
    figure.suptitle(title.replace("$", r"\$"), fontsize=10, color=INK, x=0.01, ha="left")
    diagram, coverage = figure.subplots(1, 2)
    colours = {"as trained": BASELINE_COLOUR, "calibrated": NETWORK_COLOUR}
    for name, colour in colours.items():
        values = measured["test"][name]
        means, accuracies, counts = zip(*values["reliability"], strict=True)
        label = f"{name}: error {values['calibration_error']:.3f}"
        diagram.plot(means, accuracies, color=colour, linewidth=1.3, label=label)
        diagram.scatter(
            means, accuracies, s=[12 + 200 * n / measured["test_clips"] for n in counts], color=colour, zorder=3
        )
    _diagonal(diagram, "confidence", "accuracy of test clips", "Reliability (size: clips)")
    diagram.legend(fontsize=8, frameon=False, loc="upper left")
    stated, observed = ([entry[key] for entry in measured["sets"]] for key in ("coverage", "test_coverage"))
    coverage.plot(stated, observed, color=NETWORK_COLOUR, marker="o", markersize=5, linewidth=1.3)
    for entry in measured["sets"]:
        coverage.annotate(
            f"{entry['mean_size']:.1f} labels", (entry["coverage"], entry["test_coverage"]),
            xytext=(-4, 6), textcoords="offset points", fontsize=8, color=INK, ha="right",
        )  # fmt: skip
    _diagonal(coverage, "coverage stated", "test clips whose set holds their class", "Conformal sets")
    coverage.set_xlim(0.6, 1.02)
    coverage.set_ylim(0.6, 1.02)
    return png(figure)


def _diagonal(axes: "Axes", x: str, y: str, title: str) -> None:
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=0.8, linestyle="--", zorder=1)
    axes.set_xlim(0, 1.02)
    axes.set_ylim(-0.04, 1.04)
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.set_title(title, fontsize=9.5, loc="left", color=INK)
    tidy(axes)
