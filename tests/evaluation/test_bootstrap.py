import numpy as np
import pytest
from sklearn.metrics import f1_score

from src.errors import UserError
from src.evaluation.bootstrap import accuracy_interval, group_indices, macro_f1_interval, resampled_counts
from src.evaluation.intervals import Interval


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def same(bits: np.ndarray, seeds: int) -> np.ndarray:
    return np.tile(bits, (seeds, 1))


def test_counts_are_samples_with_replacement() -> None:
    counts = resampled_counts(50, 4000, rng())
    assert (counts.sum(axis=1) == 50).all()
    # multinomial: mean 1, variance 1 - 1/50; 200000 counts give both to a few thousandths
    assert counts.mean() == 1
    assert counts.var() == pytest.approx(1 - 1 / 50, abs=0.02)


def test_one_seed_has_the_binomial_standard_error() -> None:
    correct = np.arange(400)[None] < 300
    interval = accuracy_interval(correct, rng())
    # +-1.96 sqrt(0.75 * 0.25 / 400) = 0.0424; steps of one clip are 0.0025
    assert interval.half_width == pytest.approx(0.0424, abs=0.0026)
    assert (interval.low + interval.high) / 2 == pytest.approx(0.75, abs=0.0026)


def test_seeds_that_agree_add_no_clips() -> None:
    one = accuracy_interval(np.arange(400)[None] < 300, rng())
    ten = accuracy_interval(same(np.arange(400) < 300, 10), rng())
    assert ten.half_width == pytest.approx(one.half_width, abs=0.0026)


def test_seeds_that_differ_widen_it() -> None:
    clips = rng().random(400)
    steady = accuracy_interval(np.stack([clips < 0.7] * 6), rng())
    moody = accuracy_interval(np.stack([clips < level for level in (0.5, 0.6, 0.7, 0.7, 0.8, 0.9)]), rng())
    # seed means with deviation 0.13 over 6 seeds alone: 1.96 * 0.13 / sqrt(6) = 0.10
    assert moody.half_width == pytest.approx(np.hypot(0.10, steady.half_width), abs=0.015)


def test_groups_are_the_sample() -> None:
    songs = rng(1).random(100) < 0.75
    clips = np.repeat(songs, 8)[None]
    groups = [f"song{index}" for index in np.repeat(np.arange(100), 8)]
    by_song = accuracy_interval(songs[None], rng())
    assert accuracy_interval(clips, rng(), groups) == by_song  # the same draws of 100 equal songs
    # eight times as many clips would seem to give sqrt(8) narrower
    assert accuracy_interval(clips, rng()).half_width == pytest.approx(by_song.half_width / np.sqrt(8), rel=0.15)


def test_unknown_groups_stand_alone() -> None:
    np.testing.assert_array_equal(group_indices(["a", None, "b", "a", None], 5), [0, 1, 2, 0, 3])
    np.testing.assert_array_equal(group_indices(None, 3), [0, 1, 2])
    with pytest.raises(ValueError, match=r"got 2 groups for 3 clips; expected one per clip"):
        group_indices(["a", "b"], 3)


def test_perfect_runs_have_no_width() -> None:
    assert accuracy_interval(np.ones((3, 20), dtype=bool), rng(), draws=100) == Interval(1.0, 1.0)


def test_macro_f1_equals_a_loop_over_resamples() -> None:
    targets = np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 2])
    predictions = np.stack([np.where(rng(seed).random(10) < 0.7, targets, 1) for seed in range(2)])
    interval = macro_f1_interval(targets, predictions, 3, rng(5), draws=300)
    source = rng(5)
    counts, weights = resampled_counts(10, 300, source), resampled_counts(2, 300, source)
    values = []
    for clips, seeds in zip(counts.astype(int), weights, strict=True):
        picked = np.repeat(np.arange(10), clips)
        scores = [f1_score(targets[picked], row[picked], average="macro") for row in predictions]
        values.append(np.average(scores, weights=seeds))
    low, high = np.quantile(values, [0.025, 0.975])
    assert (interval.low, interval.high) == pytest.approx((low, high), abs=1e-12)  # the same sums in another order


def test_macro_f1_of_balanced_unbiased_mistakes_is_near_accuracy() -> None:
    targets = np.tile(np.arange(4), 100)
    wrong = rng(2).random((3, 400)) < 0.2
    predictions = np.where(wrong, (targets + rng(3).integers(1, 4, (3, 400))) % 4, targets)
    f1 = macro_f1_interval(targets, predictions, 4, rng(), draws=2000)
    accuracy = accuracy_interval(predictions == targets, rng(), draws=2000)
    # with equal classes and symmetric mistakes both estimate 0.8; they differ by the chance imbalance of the draws
    assert f1.low == pytest.approx(accuracy.low, abs=0.01)
    assert f1.high == pytest.approx(accuracy.high, abs=0.01)


def test_covers_the_truth_about_as_often_as_it_says() -> None:
    source = rng(7)
    truth = 0.5 + 0.4 * source.random(2000)  # chance of a right answer, clip by clip; seeds differ by luck only
    hits = 0
    for _ in range(200):
        clips = source.choice(truth, 150)
        interval = accuracy_interval(source.random((5, 150)) < clips, source, draws=400)
        hits += truth.mean() in interval
    # never less than 95 % (binomial error 0.015 on 200), and wide here, where all luck is peculiar to (clip, seed)
    assert hits / 200 > 0.92


def test_portions_do_not_change_what_is_estimated(monkeypatch: pytest.MonkeyPatch) -> None:
    correct = np.arange(120)[None] < 90
    whole = accuracy_interval(correct, rng())
    monkeypatch.setattr("src.evaluation.bootstrap._CELLS", 100)  # fewer than the clips: one resample at a time
    assert accuracy_interval(correct, rng(), draws=2000).half_width == pytest.approx(whole.half_width, rel=0.1)


def test_nothing_to_resample_is_said() -> None:
    message = r"bootstrap: got 3 runs of 0 test clips; expected at least one of each"
    with pytest.raises(UserError, match=message):
        accuracy_interval(np.ones((3, 0), dtype=bool), rng())
    with pytest.raises(UserError, match=message):
        macro_f1_interval(np.zeros(0, dtype=int), np.zeros((3, 0), dtype=int), 2, rng())
