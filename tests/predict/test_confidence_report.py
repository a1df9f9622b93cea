"""`python -m src.predict action=confidence`: what validation clips promise, and what test clips show."""

import json

import numpy as np
import pytest

from src.errors import UserError
from src.predict.confidence import confidence, draw, measure


def drawn(clips: int, seed: int, sharpness: float = 2.5) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities whose logits are `sharpness` times too large, and classes drawn from the right ones."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=2.0, size=(clips, 3))
    right = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    sharp = np.exp(sharpness * logits)
    return sharp / sharp.sum(axis=1, keepdims=True), np.array([rng.choice(3, p=row) for row in right])


def test_what_is_fitted_on_one_part_holds_on_the_other():
    measured = measure(drawn(1500, 0), drawn(1500, 1))
    raw, calibrated = measured["test"]["as trained"], measured["test"]["calibrated"]
    assert calibrated["calibration_error"] < 0.04
    assert raw["calibration_error"] > 0.1
    assert calibrated["log_loss"] < raw["log_loss"]
    # a standard error of 0.01 on either part
    for entry in measured["sets"]:
        assert entry["test_coverage"] == pytest.approx(entry["coverage"], abs=0.04)
        assert 1 <= entry["mean_size"] < 3
    for entry in measured["thresholds"]:
        assert entry["test_error"] < entry["error"] + 0.03
    assert [entry["error"] for entry in measured["thresholds"]][-1] == 0.2
    json.dumps(measured, allow_nan=False)
    assert draw(measured, "$x$")[:8] == b"\x89PNG\r\n\x1a\n"


def test_few_clips_promise_less():
    measured = measure(drawn(6, 0), drawn(10, 1))
    assert [entry["coverage"] for entry in measured["sets"]] == [0.8]
    draw(measured, "few")


def test_it_is_kept_with_the_run(bench, compose, write_clips, tmp_path, capsys):
    write_clips(bench.folder / "sounds", ["high", "low"], 20, seconds=0.2)
    run = bench.run("dataset=folder", f"dataset.root='{bench.folder / 'sounds'}'").run_id
    places = [f"paths.tracking='{bench.tracking}'", f"tracking.experiment='{bench.experiment}'"]
    confidence(compose([*places, f"run={run}", "action=confidence", f"out='{tmp_path / 'out'}'"], "predict"))
    told = capsys.readouterr().out
    assert "calibration error" in told
    kept = bench.store().artifact(run, "confidence/confidence.json")
    assert kept == (tmp_path / "out" / "confidence.json").read_bytes()
    assert bench.store().artifact(run, "confidence/confidence.png")[:4] == b"\x89PNG"
    with pytest.raises(UserError, match="no run"):
        confidence(compose([*places, "run=feedbeef", "action=confidence"], "predict"))
