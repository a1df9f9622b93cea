import numpy as np
import pandas as pd
import pytest
import statsmodels.api as sm
from scipy import stats
from statsmodels.formula.api import ols

from src.evaluation.intervals import Clusters, Variance, variance


def scores(correct: np.ndarray) -> np.ndarray:
    return (correct - correct.mean()) / correct.shape[1]


def test_unknown_groups_stand_alone() -> None:
    np.testing.assert_array_equal(Clusters.of(["a", None, "b", "a", None], 5).group, [0, 1, 2, 0, 3])
    np.testing.assert_array_equal(Clusters.of(None, 3).group, [0, 1, 2])
    with pytest.raises(ValueError, match=r"got 2 groups for 3 clips; expected one per clip"):
        Clusters.of(["a", "b"], 3)


def test_what_a_reader_is_told_of_the_clips() -> None:
    assert str(Clusters.of(["a", "a", "b", None], 4)) == "4 in 3 groups"
    assert str(Clusters.of(["a", "a"], 2)) == "2 in 1 group"
    assert str(Clusters.of(["a", "b", None], 3)) == "3", "groups of one clip are no groups"


def test_effective_number_of_groups() -> None:
    assert Clusters.of(list("aabbcc"), 6).effective == pytest.approx(3)
    assert Clusters.of(list("aaaabc"), 6).effective == pytest.approx(36 / 18)  # (4 + 1 + 1)^2 / (16 + 1 + 1)


def test_clips_are_a_cluster_robust_variance() -> None:
    """As statsmodels computes it for a mean, with groups of unequal size."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(9), [1, 2, 3, 4, 5, 6, 7, 8, 30])
    correct = rng.random((1, len(group))) < rng.random(9)[group]
    fit = sm.OLS(correct[0].astype(float), np.ones(len(group))).fit(cov_type="cluster", cov_kwds={"groups": group})
    found = variance(scores(correct), Clusters(group))
    assert found.clips == pytest.approx(fit.bse[0] ** 2, rel=1e-12)
    assert (found.runs, found.residual) == (0, 0), "one run says nothing about others"


def test_components_are_the_mean_squares_of_an_analysis_of_variance() -> None:
    """Runs crossed with clips: the variance of the mean is (MS clips + MS runs - MS residual) / (clips runs)."""
    rng = np.random.default_rng(1)
    correct = rng.random((4, 15)) < rng.random(15)
    run, clip = np.indices(correct.shape)
    data = pd.DataFrame({"y": correct.ravel().astype(float), "run": run.ravel(), "clip": clip.ravel()})
    table = sm.stats.anova_lm(ols("y ~ C(run) + C(clip)", data).fit())
    mean_squares = table["mean_sq"] / correct.size
    found = variance(scores(correct), Clusters.of(None, 15))
    assert found.clips == pytest.approx(mean_squares["C(clip)"], rel=1e-9)
    assert found.runs == pytest.approx(mean_squares["C(run)"], rel=1e-9)
    assert found.residual == pytest.approx(mean_squares["Residual"], rel=1e-9)
    assert (found.clips_df, found.runs_df) == (pytest.approx(14), 3)


def test_seeds_that_agree_add_no_variance() -> None:
    correct = np.tile(np.arange(40) < 30, (5, 1))
    found = variance(scores(correct), Clusters.of(None, 40))
    assert found.clips == pytest.approx(0.75 * 0.25 / 39)
    assert (found.runs, found.residual) == pytest.approx((0, 0))


def test_margin_of_a_single_source_is_the_t_interval() -> None:
    assert Variance(0.04, 0.0, 0.0, 7.0, 1.0).margin(0.05) == pytest.approx(stats.t.isf(0.025, 7) * 0.2)
    assert Variance(0.0, 0.04, 0.0, 7.0, 2.0).margin(0.1) == pytest.approx(stats.t.isf(0.05, 2) * 0.2)


def test_margin_of_both_sources() -> None:
    # Banerjee: 2.3646^2 * 0.04 + 4.3027^2 * 0.01, less 2.1448^2 * 0.004 for 14 degrees of freedom, under the root
    both = Variance(0.04, 0.01, 0.004, 7.0, 2.0)
    assert both.margin(0.05) == pytest.approx(np.sqrt(0.22365 + 0.18513 - 0.01840), rel=1e-4)
    # what is taken off is never more than was added
    assert Variance(0.04, 0.001, 0.01, 7.0, 2.0).margin(0.05) == Variance(0.04, 0.0, 0.0, 7.0, 2.0).margin(0.05)
