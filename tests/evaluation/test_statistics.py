import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from src.errors import UserError
from src.evaluation.statistics import correlation, holm, ranks, variance_split


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_holm_by_hand() -> None:
    # sorted 0.005 * 4, 0.01 * 3, 0.03 * 2, 0.04 * 1, none below its predecessor
    np.testing.assert_allclose(holm(np.array([0.01, 0.04, 0.03, 0.005])), [0.03, 0.06, 0.06, 0.02], rtol=1e-14)
    np.testing.assert_array_equal(holm(np.array([0.9, 0.8])), [1, 1])
    assert holm(np.array([])).size == 0


def test_holm_agrees_with_statsmodels() -> None:
    p = np.append(rng().random(20) ** 3, [0.01, 0.01, 0.0, 1.0])  # with ties and both ends
    np.testing.assert_allclose(holm(p), multipletests(p, method="holm")[1], rtol=1e-14)


def test_holm_refuses_what_is_not_a_p() -> None:
    with pytest.raises(ValueError, match=r"expected each in 0\.\.1"):
        holm(np.array([0.1, np.nan]))


def test_variance_of_a_published_experiment() -> None:
    # Montgomery, Design and Analysis of Experiments, the loom experiment (4 looms, 4 pieces): 6.96 between, 1.90 within
    strength = np.array([[98, 97, 99, 96], [91, 90, 93, 92], [96, 95, 97, 95], [95, 96, 99, 98]], dtype=float)
    result = variance_split(strength)
    assert (result.split, result.seed) == pytest.approx((6.96, 1.90), abs=0.005)  # printed to two decimals
    assert result.split_share == pytest.approx(6.96 / 8.86, abs=1e-3)
    assert result.split_share + result.seed_share == 1


def test_variance_finds_what_was_put_in() -> None:
    source = rng(4)
    accuracies = 0.8 + source.normal(0, 0.03, (400, 1)) + source.normal(0, 0.01, (400, 5))
    result = variance_split(accuracies)
    # a variance from 400 splits has a relative error of sqrt(2 / 400) = 0.07; three of them
    assert result.split == pytest.approx(0.03**2, rel=0.21)
    assert result.seed == pytest.approx(0.01**2, rel=0.11)  # from 1600


def test_no_negative_variance_and_none_at_all() -> None:
    alternating = variance_split(np.array([[0.7, 0.9], [0.9, 0.7]]))  # equal means, all variance within
    assert (alternating.split, alternating.split_share, alternating.seed_share) == (0, 0, 1)
    constant = variance_split(np.full((2, 2), 0.5))
    assert (constant.split, constant.seed) == (0, 0)
    assert np.isnan([constant.split_share, constant.seed_share]).all()


def test_variance_needs_two_of_each() -> None:
    with pytest.raises(UserError, match=r"got 1 split seeds and 5 seeds; expected at least 2 of each"):
        variance_split(np.ones((1, 5)))


def test_spearman_exact_tail_by_hand() -> None:
    up, swapped = np.arange(5.0), np.array([0.0, 1, 2, 4, 3])
    perfect = correlation(up, up**3, "spearman", rng())
    assert (perfect.r, perfect.p, perfect.exact) == pytest.approx((1.0, 2 / 120, True))  # up and down, of 5! orders
    # r = 1 - 6 * 2 / (5 * 24) = 0.9: the perfect order and its 4 swaps of neighbours, and their reverses
    result = correlation(up, swapped, "spearman", rng())
    assert (result.r, result.p) == pytest.approx((0.9, 10 / 120))


@pytest.mark.parametrize("pairs", [3, 6, 7])
def test_pearson_agrees_with_scipy_counting_all_pairings(pairs: int) -> None:
    x, y = rng(pairs).random((2, pairs))
    expected = stats.permutation_test(
        (x,),
        lambda x: abs(np.corrcoef(x, y)[0, 1]),
        permutation_type="pairings",
        alternative="greater",
        n_resamples=np.inf,
    )
    result = correlation(x, y, "pearson", rng())
    assert result.r == pytest.approx(np.corrcoef(x, y)[0, 1], abs=1e-12)  # rounding
    assert result.p == pytest.approx(expected.pvalue, abs=1e-12)


def test_spearman_agrees_with_scipy_with_ties() -> None:
    x, y = np.array([1.0, 2, 2, 3, 5, 5]), np.array([2.0, 1, 3, 3, 3, 9])
    np.testing.assert_array_equal(ranks(x), stats.rankdata(x))
    result = correlation(x, y, "spearman", rng())
    assert result.r == pytest.approx(stats.spearmanr(x, y).statistic, abs=1e-12)


def test_more_pairs_are_sampled() -> None:
    x = rng(1).normal(size=30)
    y = 0.4 * x + rng(2).normal(size=30)
    result = correlation(x, y, "pearson", rng())
    assert not result.exact
    # for normal pairs the permutation and the t test agree; 20000 draws give p to sqrt(p / 20000)
    assert result.p == pytest.approx(stats.pearsonr(x, y).pvalue, abs=0.01)
    certain = correlation(x, x, "pearson", rng())
    assert certain.p == pytest.approx(1 / 20_001)  # never 0


@pytest.mark.parametrize(("x", "y"), [([1.0, 2.0], [1.0, 2.0]), ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0])])
def test_undefined_is_nan(x: list[float], y: list[float]) -> None:
    result = correlation(np.array(x), np.array(y), "pearson", rng())
    assert np.isnan([result.r, result.p]).all()
