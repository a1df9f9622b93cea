import numpy as np
import pytest
from scipy import stats

from src.head.sgd import ClassBalancedSampler, Randomness, truncated_normal

UNBALANCED = np.repeat([0, 2, 3], [500, 3, 40])


def draws(seed=0, labels=UNBALANCED):
    return ClassBalancedSampler(labels, batch_size=100, rng=np.random.default_rng(seed))


def test_classes_are_drawn_alike_however_unbalanced_the_clips_are():
    drawn = UNBALANCED[draws().take(300)]
    counts = [int((drawn == label).sum()) for label in (0, 2, 3)]
    # fixed seed, so no chance of failing; at this p the draws do not look unlike a fair die of three sides
    assert stats.chisquare(counts).pvalue > 0.01
    assert sum(counts) == 30_000


def test_clips_of_a_class_are_drawn_alike():
    drawn = draws().take(300)
    of_last = drawn[UNBALANCED[drawn] == 3]
    counts = np.bincount(of_last - 503, minlength=40)
    assert len(counts) == 40
    assert stats.chisquare(counts).pvalue > 0.01


def test_every_clip_is_reached_and_its_index_is_its_own_in_any_order_of_labels():
    labels = np.random.default_rng(5).permutation(np.repeat([0, 1, 4], [7, 1, 13]))
    drawn = draws(labels=labels).take(50)
    assert set(drawn.ravel()) == set(range(21))
    # class 4 is a third of the draws though most of the clips: 5000 draws, deviation of a share 0.0067
    assert np.mean(labels[drawn] == 4) == pytest.approx(1 / 3, abs=4 * 0.0067)


def test_dividing_the_steps_changes_nothing():
    whole, parts = draws(), draws()
    assert np.array_equal(whole.take(12), np.concatenate([parts.take(5), parts.take(1), parts.take(6)]))


def test_draws_of_a_batch_repeat_clips():
    batch = draws().take(1)[0]
    # 33 draws from 3 clips
    assert len(set(batch)) < len(batch)


def test_initial_weights_are_a_normal_cut_at_two_deviations():
    weights = truncated_normal((200, 500), std=0.001, rng=np.random.default_rng(0))
    assert weights.dtype == np.float32
    # float32 rounding of the bound itself
    assert np.abs(weights).max() <= 0.002 * (1 + 1e-6)
    assert np.abs(weights).max() > 0.00199
    assert stats.kstest(weights.ravel() / 0.001, stats.truncnorm(-2, 2).cdf).pvalue > 0.01
    # 0.8796 is the deviation of the cut normal; 1e5 values give it to 0.2 %
    assert weights.std() == pytest.approx(0.0008796, rel=0.01)


def test_seeds_make_their_own_streams():
    zero, again, one = Randomness.from_seed(0), Randomness.from_seed(0), Randomness.from_seed(1)
    assert zero.dropout_seed == again.dropout_seed != one.dropout_seed
    first = zero.draws.random(4)
    assert np.array_equal(first, again.draws.random(4))
    assert not np.array_equal(first, one.draws.random(4))
    assert not np.array_equal(first, zero.weights.random(4))
