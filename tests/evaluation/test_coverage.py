"""Simulated test sets and runs: intervals contain the truth as often as they say, and equal cells rarely differ.

`python -m benchmarks.coverage` prints the same at length. A share of n simulations with true value s is taken to be in
order within three standard errors, sqrt(s (1 - s) / n).
"""

import numpy as np
import pytest

from benchmarks.coverage import (
    CLIPS,
    GROUPS,
    RUN_SDS,
    RUNS,
    SIZES,
    Design,
    Population,
    accuracy_rates,
    difference_rates,
    exact_coverage,
    f1_rates,
    power,
)

LEAST, MOST = 0.93, 0.06


def rng(seed: int) -> np.random.Generator:
    return np.random.default_rng(seed)


def low_enough(share: float, samples: int) -> bool:
    """Whether a rate of false positives may be at most MOST."""
    return share <= MOST + 3 * np.sqrt(MOST * (1 - MOST) / samples)


def high_enough(coverage: float, samples: int) -> bool:
    """Whether a coverage may be at least LEAST."""
    return coverage >= LEAST - 3 * np.sqrt(LEAST * (1 - LEAST) / samples)


@pytest.mark.parametrize("clips", CLIPS)
def test_one_run_on_independent_clips(clips):
    """Exact, not simulated: the sum over all numbers of right clips."""
    coverage = exact_coverage(clips, np.arange(0.5, 0.9996, 0.0005))
    # 0.929 at a single accuracy and n = 25; Wilson's own is 0.84 near 1
    assert coverage.min() > 0.928
    assert coverage.mean() < (0.972 if clips < 25 else 0.966)


@pytest.mark.parametrize(("groups", "size"), [(6, 3), (6, 8), (12, 6), (25, 8), (75, 3)])
def test_one_run_on_groups(groups, size):
    """Without effects of groups, and with a deviation of 2, an intraclass correlation of about 0.4."""
    samples, design = 120, Design(groups, size)
    coverage = []
    for seed, (accuracy, group_sd) in enumerate([(0.55, 2.0), (0.75, 0.0), (0.75, 2.0), (0.9, 2.0), (0.97, 1.0)]):
        rates = accuracy_rates(Population(accuracy, group_sd), design, samples, rng(seed))
        assert high_enough(rates.coverage, samples), (accuracy, group_sd)
        coverage.append(rates.coverage)
    assert high_enough(float(np.mean(coverage)), len(coverage) * samples)


@pytest.mark.parametrize("runs", RUNS)
def test_several_runs(runs):
    samples, coverage = 80, []
    for seed, (groups, size, run_sd) in enumerate(
        [(12, 1, 0.1), (60, 1, 0.0), (600, 1, 0.1), (600, 1, 0.3), (12, 6, 0.3)]
    ):
        population = Population(0.75, float(size > 1), 2.0, run_sd)
        rates = accuracy_rates(population, Design(groups, size, runs), samples, rng(seed))
        assert high_enough(rates.coverage, samples), (groups, size, run_sd)
        coverage.append(rates.coverage)
    assert high_enough(float(np.mean(coverage)), len(coverage) * samples)


@pytest.mark.parametrize("runs", [1, 2, 3, 5])
def test_equal_cells_rarely_differ(runs):
    """With five groups of eight, the percentile bootstrap found 16 % different, and McNemar's test 28 %."""
    samples, found = 60, []
    for seed, (groups, size) in enumerate([(12, 1), (60, 1), (200, 1), (6, 8), (12, 8), (25, 3)]):
        for run_sd in (0.1, 0.3) if runs > 1 else (0.0,):
            population = Population(0.75, float(size > 1), 1.0, run_sd, cell_sd=2.0 * (size > 1))
            rates = difference_rates((population, population), Design(groups, size, runs), samples, rng(seed))
            assert low_enough(rates.significant, samples), (groups, size, run_sd)
            assert high_enough(rates.coverage, samples), (groups, size, run_sd)
            found.append(rates.significant)
    assert low_enough(float(np.mean(found)), len(found) * samples)


def test_power_is_mcnemar_s_where_clips_are_independent():
    rates = power((Population(0.75), Population(0.85)), Design(200), 60, rng(0))
    assert rates.mcnemar > 0.4
    assert rates.ours == pytest.approx(rates.mcnemar, abs=0.02)


@pytest.mark.slow
@pytest.mark.parametrize("size", SIZES)
def test_groups_at_length(size):
    samples, seed = 1000, 0
    for groups in GROUPS:
        for group_sd in (0.0, 1.0, 2.0, 4.0):
            for accuracy in (0.55, 0.65, 0.75, 0.85, 0.9, 0.95, 0.97):
                seed += 1
                rates = accuracy_rates(Population(accuracy, group_sd), Design(groups, size), samples, rng(seed))
                assert high_enough(rates.coverage, samples), (groups, group_sd, accuracy)


@pytest.mark.slow
@pytest.mark.parametrize("runs", RUNS)
def test_runs_at_length(runs):
    samples, seed = 500, 0
    for groups, size in [*((clips, 1) for clips in CLIPS), (6, 3), (6, 8), (12, 6), (25, 8)]:
        for clip_sd in (0.0, 2.0):
            for run_sd in RUN_SDS:
                for accuracy in (0.55, 0.75, 0.9, 0.97):
                    seed += 1
                    population = Population(accuracy, 1.0 * (size > 1), clip_sd, run_sd)
                    rates = accuracy_rates(population, Design(groups, size, runs), samples, rng(seed))
                    assert high_enough(rates.coverage, samples), (groups, size, clip_sd, run_sd, accuracy)


@pytest.mark.slow
@pytest.mark.parametrize("runs", [1, *RUNS])
def test_differences_at_length(runs):
    samples, seed = 400, 0
    for groups, size in [*((clips, 1) for clips in CLIPS), (6, 3), (6, 8), (8, 6), (12, 8), (25, 3), (75, 3)]:
        for run_sd in RUN_SDS if runs > 1 else (0.0,):
            for accuracies in ((0.75, 0.75), (0.95, 0.95), (0.75, 0.85)):
                seed += 1
                effects = {"group_sd": 1.0 * (size > 1), "clip_sd": 1.0, "run_sd": run_sd, "cell_sd": 1.0 * (size > 1)}
                first, second = (Population(accuracy, **effects) for accuracy in accuracies)
                rates = difference_rates((first, second), Design(groups, size, runs), samples, rng(seed))
                assert high_enough(rates.coverage, samples), (groups, size, run_sd, accuracies)
                if accuracies[0] == accuracies[1]:
                    assert low_enough(rates.significant, samples), (groups, size, run_sd, accuracies)


@pytest.mark.slow
@pytest.mark.parametrize("runs", [1, 5])
def test_macro_f1_at_length(runs):
    samples, seed = 1000, 0
    for groups, size in [(25, 1), (60, 1), (200, 1), (12, 8), (25, 8)]:
        for classes in (2, 5):
            for accuracy in (0.55, 0.75, 0.9, 0.97):
                seed += 1
                population = Population(accuracy, float(size > 1), 1.0)
                rates = f1_rates(population, Design(groups, size, runs), classes, samples, rng(seed))
                assert high_enough(rates.coverage, samples), (groups, size, classes, accuracy)
