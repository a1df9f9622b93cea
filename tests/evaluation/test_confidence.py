"""Calibration recovers the temperature that made probabilities too sure; sets and thresholds keep what they state."""

import numpy as np
import pytest

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


def overconfident(clips: int, temperature: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities that would be right after division of their logits by `temperature`, and the classes drawn."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(scale=2.0, size=(clips, 4))
    right = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    targets = np.array([rng.choice(4, p=row) for row in right])
    scaled = np.exp(temperature * logits)
    return scaled / scaled.sum(axis=1, keepdims=True), targets


def test_the_temperature_is_recovered():
    probabilities, targets = overconfident(4000, 3.0, seed=0)
    temperature = fit_temperature(probabilities, targets)
    assert temperature == pytest.approx(3.0, rel=0.1)  # its standard error over 4000 clips is about 0.07
    better = calibrated(probabilities, temperature)
    assert log_loss(better, targets) < log_loss(probabilities, targets)
    assert calibration_error(probabilities, targets) > 0.15
    assert calibration_error(better, targets) < 0.03
    np.testing.assert_array_equal(better.argmax(axis=1), probabilities.argmax(axis=1))
    np.testing.assert_allclose(better.sum(axis=1), 1)


def test_temperature_one_changes_nothing():
    probabilities, _ = overconfident(10, 1.0, seed=1)
    np.testing.assert_allclose(calibrated(probabilities, 1.0), probabilities)
    assert np.isfinite(calibrated(np.array([[1.0, 0.0]]), 2.0)).all()


def test_ranges_of_confidence():
    probabilities = np.array([[0.95, 0.05], [0.91, 0.09], [0.35, 0.65], [1.0, 0.0]])
    assert reliability(probabilities, np.array([0, 1, 1, 0])) == [
        (0.65, 1.0, 1), (pytest.approx(2.86 / 3), pytest.approx(2 / 3), 3),
    ]  # fmt: skip


@pytest.mark.parametrize("coverage", [0.8, 0.95])
def test_sets_cover_what_they_state(coverage):
    """Over 200 draws of 100 clips each; the coverage of a new clip is `coverage` to `coverage + 1 / 101`."""
    covered, sizes = [], []
    for seed in range(200):
        held_out, new = overconfident(100, 2.0, seed), overconfident(50, 2.0, 1000 + seed)
        quantile = conformal_quantile(*held_out, coverage)
        sets = [prediction_set(row, quantile) for row in new[0]]
        covered += [target in found for target, found in zip(new[1], sets, strict=True)]
        sizes += map(len, sets)
    # 200 draws of the quantile, each with a standard error of 0.04: 0.003 of their mean
    assert coverage - 0.01 < np.mean(covered) < coverage + 0.02
    assert np.mean(sizes) < 4


def test_too_few_clips_state_no_coverage():
    with pytest.raises(UserError, match=r"coverage=0\.95: 10 validation clips cannot state it; 19 or more"):
        conformal_quantile(np.full((10, 2), 0.5), np.zeros(10, np.int64), 0.95)


def test_a_set_begins_with_the_most_probable():
    assert prediction_set(np.array([0.3, 0.1, 0.6]), 0.75) == [2, 0]
    assert prediction_set(np.array([0.3, 0.1, 0.6]), 0.3) == []


def test_the_threshold_keeps_the_error():
    confidence = np.linspace(0.99, 0.5, 50)
    probabilities = np.stack([confidence, 1 - confidence], axis=1)
    targets = np.zeros(50, np.int64)
    targets[30:] = 1  # the less sure ones are wrong
    # 30 right and one more counted wrong: 1 of 30 is below 5 %, as is no share that takes in wrong ones
    assert threshold_for(probabilities, targets, 0.05) == pytest.approx(confidence[29])
    assert threshold_for(probabilities, targets, 0.5) == pytest.approx(confidence[-1])
    with pytest.raises(UserError, match=r"error=0\.01"):
        threshold_for(probabilities, targets, 0.01)
