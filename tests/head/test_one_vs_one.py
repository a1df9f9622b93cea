import numpy as np
import pytest
from head_examples import Recorder, clouds, none_of, same_tensors, short
from safetensors.numpy import load, save

from src.features.examples import Examples
from src.head import load_head
from src.head.network import FittedNetwork, Scaling
from src.head.one_vs_one import FittedOneVsOne, OneVsOne

HEAD = OneVsOne(learning_rate=0.05, weight_std=0.001, standardize=True)
TRAIN = clouds([40, 6, 50], distance=6)
HELD_OUT = clouds([20, 20, 20], distance=6, seed=1)


def fit(train=TRAIN, validation=None, *, classes=3, seed=0, logger=None):
    return HEAD.fit(train, validation or none_of(train), classes=classes, seed=seed, trainer=short(60), logger=logger)


def constant_head(probability_of_second):
    """A binary head that says the same of every clip."""
    nothing = Scaling(np.zeros(1, np.float32), np.ones(1, np.float32))
    with np.errstate(divide="ignore"):
        bias = np.log(np.array([1 - probability_of_second, probability_of_second], np.float32))
    return FittedNetwork("linear", nothing, (np.zeros((2, 1), np.float32),), (bias,))


def voting(*probabilities):
    """Three classes whose pairs (0, 1), (0, 2), (1, 2) give these probabilities to their second class."""
    heads = tuple(constant_head(probability) for probability in probabilities)
    return FittedOneVsOne("one_vs_one", np.ones(3, np.bool_), np.array([[0, 1], [0, 2], [1, 2]]), heads)


ONE_CLIP = np.zeros((1, 1), np.float32)


def test_the_class_that_wins_its_pairs_wins():
    # 1 beats 0, 0 beats 2, 1 beats 2: votes 1, 2, 0
    probabilities = voting(0.9, 0.2, 0.4).predict_proba(ONE_CLIP)[0]
    # score: votes and half of mean(0.1, 0.8), mean(0.9, 0.6), mean(0.2, 0.4); they sum to 3.75
    np.testing.assert_allclose(probabilities, np.array([1.225, 2.375, 0.15]) / 3.75, rtol=1e-6)


def test_a_vote_outweighs_any_confidence():
    # 1 wins both pairs barely, 0 is sure against 2
    assert voting(0.501, 0.0, 0.499).predict_proba(ONE_CLIP)[0].argmax() == 1


def test_a_circle_of_victories_goes_to_the_most_confident():
    # 1 beats 0 barely, 2 beats 1 barely, 0 beats 2 clearly
    assert voting(0.51, 0.1, 0.52).predict_proba(ONE_CLIP)[0].argmax() == 0
    assert voting(0.51, 0.45, 0.99).predict_proba(ONE_CLIP)[0].argmax() == 2


def test_an_undecided_head_votes_for_the_smaller_class():
    assert voting(0.5, 0.5, 0.5).predict_proba(ONE_CLIP)[0].argmax() == 0


def test_it_learns_three_classes_and_logs_the_vote():
    recorder = Recorder()
    fitted = fit(validation=HELD_OUT, logger=recorder)
    probabilities = fitted.predict_proba(HELD_OUT.features)
    accuracy = np.mean(probabilities.argmax(1) == HELD_OUT.labels)
    assert accuracy > 0.95
    assert fitted.pairs.tolist() == [[0, 1], [0, 2], [1, 2]]
    # float32 sums of three values
    np.testing.assert_allclose(probabilities.sum(1), 1, atol=1e-6)
    assert [(step, metrics["validation/accuracy"]) for step, metrics in recorder.points] == [(60, accuracy)]


def test_a_pairs_head_does_not_depend_on_other_classes():
    kept = TRAIN.labels != 1
    without = fit(Examples(TRAIN.features[kept], TRAIN.labels[kept]))
    assert without.pairs.tolist() == [[0, 2]]
    assert same_tensors(without.heads[0], fit().heads[1])
    assert np.all(without.predict_proba(HELD_OUT.features)[:, 1] == 0)
    assert not same_tensors(fit(seed=0), fit(seed=1))
    assert same_tensors(fit(seed=0), fit(seed=0))


def test_a_single_class_is_certain():
    fitted = fit(clouds([4]), classes=2)
    assert fitted.predict_proba(HELD_OUT.features[:2]).tolist() == [[1, 0], [1, 0]]
    assert load_head("one_vs_one", load(save(fitted.tensors()))).predict_proba(HELD_OUT.features[:1]).tolist() == [
        [1, 0]
    ]


def test_stored_and_loaded_it_gives_the_same_bits():
    many = clouds([6] * 5)
    fitted = fit(many, classes=6)
    loaded = load_head("one_vs_one", load(save(fitted.tensors())))
    assert len(loaded.heads) == 10
    assert np.array_equal(loaded.predict_proba(HELD_OUT.features), fitted.predict_proba(HELD_OUT.features))


def test_something_that_is_no_logger_is_refused():
    with pytest.raises(TypeError, match="needs log_metrics"):
        fit(logger=3)
