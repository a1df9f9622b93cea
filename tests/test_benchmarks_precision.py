"""What the benchmark of precisions counts: heads fitted to one precision and asked in another, clip by clip."""

import numpy as np
import pytest

from benchmarks import precision


def test_a_head_is_fitted_to_the_first_features_and_asked_in_all_of_them():
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    features = (rng.normal(0, 0.1, (60, 3)) + np.eye(3)[labels]).astype(np.float32)
    turned = features[:, [1, 2, 0]]
    own, other = precision.right([features, turned], labels, np.arange(60) // 3 % precision.FOLDS)
    # the classes lie ten deviations apart; with features exchanged each looks like the next
    assert own.all()
    assert not other.any()


def test_cosines_are_those_of_each_row():
    a = np.array([[1, 0], [3, 4], [1, 1]], np.float32)
    b = np.array([[2, 0], [4, -3], [1, 0]], np.float32)
    assert precision.cosines(a, b) == pytest.approx([1, 0, 0.5**0.5])  # of whole numbers, in float64


def test_a_folder_is_listed_with_its_groups(tmp_path, write_clips):
    write_clips(tmp_path, ["a", "b"], 3)
    found = precision.listed(tmp_path, r"[^/]*/(\d)")
    assert [clip.group for clip in found] == ["0"] * 6
    assert [clip.label for clip in found] == ["a"] * 3 + ["b"] * 3
