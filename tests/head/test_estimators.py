from dataclasses import replace

import numpy as np
import pytest
from head_examples import Recorder, clouds, none_of, same_tensors, short
from safetensors.numpy import load, save
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

from src.errors import UserError
from src.features.examples import Examples
from src.head import load_head
from src.head.estimators import Logistic, RandomForest

LOGISTIC = Logistic(C=1.0, max_iter=200, standardize=True)
FOREST = RandomForest(n_estimators=20, max_features="log2", n_jobs=1)
TRAIN = clouds([30, 5, 60], distance=1.0)
HELD_OUT = clouds([20, 20, 20], distance=1.0, seed=1)


def fit(head, train=TRAIN, validation=None, *, classes=3, seed=0, logger=None):
    return head.fit(train, validation or none_of(train), classes=classes, seed=seed, trainer=short(), logger=logger)


def with_gap(train, absent):
    """The same clips with labels that leave out one class."""
    return Examples(train.features, np.where(train.labels >= absent, train.labels + 1, train.labels))


@pytest.mark.parametrize("counts", [[30, 5, 60], [30, 20]])
def test_logistic_is_scikit_learns(counts):
    train = clouds(counts, distance=1.0)
    scaler = StandardScaler().fit(train.features)
    model = LogisticRegression(C=0.5, max_iter=200).fit(scaler.transform(train.features), train.labels)
    ours = fit(replace(LOGISTIC, C=0.5), train, classes=len(counts)).predict_proba(HELD_OUT.features)
    # L-BFGS stops at gradients of 1e-4, and the scalings differ by float32 rounding
    np.testing.assert_allclose(ours, model.predict_proba(scaler.transform(HELD_OUT.features)), atol=2e-3)


def test_logistic_optimum_has_the_gradient_of_its_loss_at_zero():
    fitted = fit(LOGISTIC)
    scaled = fitted.scaling.apply(TRAIN.features).astype(np.float64)
    error = fitted.predict_proba(TRAIN.features) - np.eye(3)[TRAIN.labels]
    # sum of losses + |W|^2 / (2 C), divided by the 95 clips: the solver's tolerance is 1e-4
    assert np.abs(error.T @ scaled + fitted.weights[0]).max() / 95 < 1e-3


def test_logistic_without_convergence_says_so_and_goes_on(caplog):
    fitted = fit(replace(LOGISTIC, max_iter=1))
    assert len(fitted.warnings) == 1
    assert "has not converged" in fitted.warnings[0]
    assert "Raise head.max_iter" in caplog.text
    assert fit(LOGISTIC).warnings == ()


def test_logistic_without_a_class():
    fitted = fit(LOGISTIC, with_gap(TRAIN, 1), classes=5)
    full = fit(LOGISTIC).predict_proba(HELD_OUT.features)
    probabilities = fitted.predict_proba(HELD_OUT.features)
    assert np.all(probabilities[:, [1, 4]] == 0)
    assert np.array_equal(probabilities[:, [0, 2, 3]], full)
    with pytest.raises(UserError, match="at least two classes"):
        fit(LOGISTIC, clouds([4]))


def test_forest_probabilities_are_scikit_learns_exactly():
    model = FOREST.estimator(7).fit(TRAIN.features, TRAIN.labels)
    theirs = model.predict_proba(HELD_OUT.features)
    assert np.array_equal(fit(FOREST, seed=7).predict_proba(HELD_OUT.features), theirs.astype(np.float32))


def test_forest_at_its_thresholds_goes_left_as_scikit_learn_does():
    steps = Examples(np.arange(12, dtype=np.float32).reshape(-1, 1), np.arange(12) % 3)
    between = np.arange(0, 11.5, 0.5, dtype=np.float32).reshape(-1, 1)
    model = FOREST.estimator(0).fit(steps.features, steps.labels)
    assert np.array_equal(fit(FOREST, steps).predict_proba(between), model.predict_proba(between).astype(np.float32))


def test_forest_without_a_class():
    probabilities = fit(FOREST, with_gap(TRAIN, 1), classes=4).predict_proba(HELD_OUT.features)
    assert np.all(probabilities[:, 1] == 0)
    assert np.array_equal(probabilities[:, [0, 2, 3]], fit(FOREST).predict_proba(HELD_OUT.features))


def test_forest_seeds():
    assert same_tensors(fit(FOREST, seed=0), fit(FOREST, seed=0))
    assert same_tensors(fit(FOREST, seed=0), fit(replace(FOREST, n_jobs=2), seed=0))
    assert not same_tensors(fit(FOREST, seed=0), fit(FOREST, seed=1))
    # more than scikit-learn's 32 bits
    fit(FOREST, seed=2**40)


def test_a_forest_of_one_class_is_sure():
    assert np.all(fit(FOREST, clouds([4])).predict_proba(HELD_OUT.features)[:, 0] == 1)


@pytest.mark.parametrize("head", [LOGISTIC, FOREST], ids=lambda head: head.name)
def test_stored_and_loaded_they_give_the_same_bits(head):
    fitted = fit(head, with_gap(TRAIN, 1), classes=4)
    loaded = load_head(head.name, load(save(fitted.tensors())))
    assert np.array_equal(loaded.predict_proba(HELD_OUT.features), fitted.predict_proba(HELD_OUT.features))
    assert loaded.kind == head.name
    assert loaded.predict_proba(HELD_OUT.features[:0]).shape == (0, 4)


@pytest.mark.parametrize("head", [LOGISTIC, FOREST], ids=lambda head: head.name)
def test_one_validation_point_is_logged(head):
    recorder = Recorder()
    fitted = fit(head, validation=HELD_OUT, logger=recorder)
    ((step, metrics),) = recorder.points
    probabilities = fitted.predict_proba(HELD_OUT.features)
    assert metrics["validation/accuracy"] == np.mean(probabilities.argmax(1) == HELD_OUT.labels)
    right = probabilities[np.arange(60), HELD_OUT.labels].astype(np.float64)
    # a leaf without the right class would cost infinity: float32's resolution stands in for 0
    assert metrics["validation/loss"] == pytest.approx(-np.log(np.maximum(right, 2**-23)).mean())
    assert 1 <= step <= 200
    with pytest.raises(TypeError, match="needs log_metrics"):
        fit(head, validation=HELD_OUT, logger="mlflow")


def test_settings_are_checked():
    with pytest.raises(UserError, match=r"head.C=0.0"):
        replace(LOGISTIC, C=0.0)
    with pytest.raises(UserError, match=r"head.max_iter=0"):
        replace(LOGISTIC, max_iter=0)
    with pytest.raises(UserError, match=r"head.n_estimators=0"):
        replace(FOREST, n_estimators=0)
    with pytest.raises(UserError, match=r"head.max_features=all: expected log2 or sqrt"):
        replace(FOREST, max_features="all")
