from math import erf, sqrt

import numpy as np
import pytest

from src.evaluation.statistics import mean_overlap, overlap, overlap_matrix, overlap_of_normals


def normals(shift: float, clips: int = 600) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.normal(0, 1, clips), rng.normal(shift, 1, clips)


@pytest.mark.parametrize("shift", [0.0, 1.0, 2.0, 6.0])
def test_two_normals(shift: float) -> None:
    # two unit normals cross half way: 2 Phi(-shift / 2); 1 deviation apart 0.617 (Cohen's d of 1)
    expected = 1 - erf(shift / 2 / sqrt(2))
    # 600 clips give a share near one half to 0.02; three of them, and the smoothing
    assert overlap(*normals(shift)) == pytest.approx(expected, abs=0.06)


def test_equal_samples_and_far_ones() -> None:
    one, _ = normals(0)
    assert overlap(one, one) == pytest.approx(1, abs=2e-3)  # the grid ends 4 kernel widths out; trapezoids in between
    assert overlap(one, one + 100) == pytest.approx(0, abs=1e-6)


def test_unit_does_not_matter() -> None:
    one, other = normals(1)
    assert overlap(1e-4 * one + 7, 1e-4 * other + 7) == pytest.approx(overlap(one, other), abs=1e-6)


def test_constant_levels() -> None:
    flat = np.full(20, 0.1)
    assert overlap(flat, flat) == 1
    assert overlap(flat, np.full(30, 0.2)) == pytest.approx(0, abs=1e-6)
    assert overlap(flat, np.linspace(0, 1, 50)) < 0.1
    assert np.isnan(overlap(flat[:1], flat))


def test_the_papers_table_4() -> None:
    # composer: both classes 0.06 +- 0.03; instrument: 0.09 +- 0.06 and 0.02 +- 0.01, which the paper calls the outlier
    composer = overlap_of_normals(np.array([0.06, 0.06]), np.array([0.03, 0.03]))
    instrument = overlap_of_normals(np.array([0.09, 0.02]), np.array([0.06, 0.01]))
    assert mean_overlap(composer) == 1
    x = np.linspace(-0.2, 0.4, 600_001)
    densities = [np.exp(-(((x - m) / s) ** 2) / 2) / s / sqrt(2 * np.pi) for m, s in ((0.09, 0.06), (0.02, 0.01))]
    assert mean_overlap(instrument) == pytest.approx(np.trapezoid(np.minimum(*densities), x), abs=1e-3)
    assert mean_overlap(instrument) < 0.3


def test_matrix_is_of_all_pairs() -> None:
    one, other = normals(1)
    matrix = overlap_matrix([one, other, one + 100])
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_array_equal(np.diag(matrix), 1)
    assert mean_overlap(matrix) == pytest.approx(overlap(one, other) / 3, abs=1e-6)
    assert np.isnan(mean_overlap(np.eye(1)))


def test_no_deviation_is_said() -> None:
    with pytest.raises(ValueError, match=r"got deviations \[0\.1, 0\.0\]; expected each above 0"):
        overlap_of_normals(np.array([1.0, 2.0]), np.array([0.1, 0.0]))
