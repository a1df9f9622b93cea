"""Coverage of the intervals, and false positives and power of the paired test, by simulation: docs/statistics.md.

    OMP_NUM_THREADS=1 python -m benchmarks.coverage --samples 2000

A clip is right with a probability whose logit is a constant plus normal effects: of its group, of the clip, of the run,
and of the group in one cell of two. The constant is such that the accuracy on average is the one given. The truth that
an interval should contain is the accuracy on all clips: of all runs, or with a single run of that run.
"""

import argparse
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import product

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import binom

from benchmarks.measuring import markdown
from src.evaluation.comparison import Cell, compare, mcnemar
from src.evaluation.intervals import Interval, accuracy_interval, macro_f1_interval

_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(61)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()
CLIPS = (12, 25, 60, 200, 600)
GROUPS = (6, 8, 12, 25, 75)
SIZES = (3, 6, 8)
RUNS = (2, 3, 4, 5)
RUN_SDS = (0.0, 0.1, 0.3)


@dataclass(frozen=True)
class Population:
    """What clips and runs are drawn from; standard deviations are on the logit scale.

    Attributes:
        accuracy: over all clips and runs, 0..1.
        group_sd, clip_sd: of groups and clips, the same in every run and cell. run_sd: of runs.
        cell_sd: of groups in one cell alone.
    """

    accuracy: float
    group_sd: float = 0.0
    clip_sd: float = 0.0
    run_sd: float = 0.0
    cell_sd: float = 0.0

    @property
    def clips_sd(self) -> float:
        """Of everything that differs between clips."""
        return float(np.sqrt(self.group_sd**2 + self.clip_sd**2 + self.cell_sd**2))

    @property
    def constant(self) -> float:
        """The logit without effects."""
        return _constant(self.accuracy, float(np.hypot(self.clips_sd, self.run_sd)))


@cache
def _constant(accuracy: float, sd: float) -> float:
    return float(brentq(lambda constant: _WEIGHTS @ expit(constant + sd * _NODES) - accuracy, -20, 40))


@dataclass(frozen=True)
class Design:
    """A test set of equal groups, and how many runs were tested on it."""

    groups: int
    size: int = 1
    runs: int = 1

    @property
    def ids(self) -> list[str]:
        """Names of the clips."""
        return [str(index) for index in range(self.groups * self.size)]

    @property
    def names(self) -> list[str] | None:
        """Group of each clip."""
        return None if self.size == 1 else [str(index // self.size) for index in range(self.groups * self.size)]


@dataclass(frozen=True)
class Rates:
    """What came of simulated test sets.

    Attributes:
        coverage: share of the intervals that contain the truth. half_width: their mean.
        significant: share of the p-values that are at most 0.05.
    """

    coverage: float
    half_width: float
    significant: float = np.nan


def draw(populations: Sequence[Population], design: Design, rng: np.random.Generator) -> list[tuple[np.ndarray, float]]:
    """Whether each run got each clip right, (runs, clips), and the truth; for each population on the same clips."""
    shared = rng.normal(size=(design.groups, 1)), rng.normal(size=(design.groups, design.size))
    samples = []
    for one in populations:
        clips = one.group_sd * shared[0] + one.clip_sd * shared[1] + one.cell_sd * rng.normal(size=(design.groups, 1))
        run = one.run_sd * rng.normal(size=(design.runs, 1))
        chance = expit(one.constant + clips.reshape(1, -1) + run)
        truth = one.accuracy
        if design.runs == 1:
            truth = float(_WEIGHTS @ expit(one.constant + run.item() + one.clips_sd * _NODES))
        samples.append((rng.random(chance.shape) < chance, truth))
    return samples


def accuracy_rates(population: Population, design: Design, samples: int, rng: np.random.Generator) -> Rates:
    """Of the interval of an accuracy."""
    found = [draw([population], design, rng)[0] for _ in range(samples)]
    intervals = [(accuracy_interval(correct, design.names), truth) for correct, truth in found]
    return _rates(intervals)


def f1_rates(population: Population, design: Design, classes: int, samples: int, rng: np.random.Generator) -> Rates:
    """Of the interval of macro F1; with equal classes and wrong answers equally likely the truth is the accuracy."""
    intervals = []
    for _ in range(samples):
        ((correct, truth),) = draw([population], design, rng)
        targets = np.repeat(np.arange(design.groups) % classes, design.size)
        wrong = (targets + rng.integers(1, classes, size=correct.shape)) % classes
        predictions = np.where(correct, targets, wrong)
        intervals.append((macro_f1_interval(targets, predictions, classes, design.names), truth))
    return _rates(intervals)


def difference_rates(
    populations: tuple[Population, Population], design: Design, samples: int, rng: np.random.Generator
) -> Rates:
    """Of the interval and the p-value of a paired difference."""
    intervals, p = [], []
    for _ in range(samples):
        pair = draw(populations, design, rng)
        result = compare(*(Cell("a cell", design.ids, correct, design.names) for correct, _ in pair))
        intervals.append((result.interval, pair[1][1] - pair[0][1]))
        p.append(result.p)
    return _rates(intervals, p)


def _rates(intervals: Sequence[tuple[Interval | None, float]], p: Sequence[float] = ()) -> Rates:
    known = [(interval, truth) for interval, truth in intervals if interval is not None]
    return Rates(
        float(np.mean([interval.low - 1e-12 <= truth <= interval.high + 1e-12 for interval, truth in known])),
        float(np.mean([interval.half_width for interval, _ in known])),
        float(np.mean(np.array(p) <= 0.05)) if p else np.nan,
    )


def exact_coverage(clips: int, accuracies: Sequence[float] | np.ndarray) -> np.ndarray:
    """Coverage for one run on independent clips, by summing over the number of right ones."""
    intervals = [accuracy_interval(np.arange(clips)[None] < right) for right in range(clips + 1)]
    low, high = (np.array([getattr(interval, end) for interval in intervals]) for end in ("low", "high"))
    p = np.asarray(accuracies)[:, None]
    inside = (low - 1e-12 <= p) & (p <= high + 1e-12)
    coverage: np.ndarray = (inside * binom.pmf(np.arange(clips + 1), clips, p)).sum(axis=1)
    return coverage


def bootstrap_p(first: np.ndarray, second: np.ndarray, rng: np.random.Generator, draws: int = 2000) -> float:
    """Two-sided p of the percentile bootstrap over clips, which the paired test replaces."""
    change = second.mean(axis=0) - first.mean(axis=0)
    sums = rng.choice(change, (draws, len(change))).sum(axis=1)
    return float(min(1, 2 * (1 + min(np.count_nonzero(sums <= 0), np.count_nonzero(sums >= 0))) / (draws + 1)))


@dataclass(frozen=True)
class Power:
    """How often each test finds a difference at 0.05."""

    ours: float
    mcnemar: float
    bootstrap: float


def power(populations: tuple[Population, Population], design: Design, samples: int, rng: np.random.Generator) -> Power:
    """For one run on independent clips."""
    p = []
    for _ in range(samples):
        (first, _), (second, _) = draw(populations, design, rng)
        ours = compare(Cell("a", design.ids, first), Cell("b", design.ids, second)).p
        only_first, only_second = (int((one & ~other).sum()) for one, other in ((first, second), (second, first)))
        p.append((ours, mcnemar(only_first, only_second), bootstrap_p(first, second, rng)))
    return Power(*(np.array(p) <= 0.05).mean(axis=0).tolist())


Job = tuple[Callable[..., Rates | Power], tuple[object, ...], int, int]


def _run(job: Job) -> Rates | Power:
    function, arguments, samples, seed = job
    return function(*arguments, samples=samples, rng=np.random.default_rng(seed))


class Simulations:
    """Runs simulations, each with a stream of its own."""

    def __init__(self, samples: int, workers: int, seed: int = 0) -> None:
        self._samples, self._workers, self._seed = samples, workers, seed

    def __call__(self, function: Callable[..., Rates | Power], every: Iterable[tuple[object, ...]]) -> list:
        """Results of a function for each of some arguments, in their order."""
        jobs = [(function, arguments, self._samples, self._seed + number) for number, arguments in enumerate(every)]
        if self._workers == 1:
            return [_run(job) for job in jobs]
        with ProcessPoolExecutor(self._workers) as pool:
            return list(pool.map(_run, jobs))


def _percent(share: float) -> str:
    return f"{100 * share:.1f}"


def independent_table() -> str:
    """Exact coverage for one run on independent clips."""
    accuracies = (0.55, 0.65, 0.75, 0.85, 0.9, 0.95, 0.97, 0.99)
    fine = np.arange(0.5, 0.9996, 0.0005)
    rows = []
    for clips in CLIPS:
        every = exact_coverage(clips, fine)
        shown = (*exact_coverage(clips, accuracies), every.min(), every.mean())
        rows.append((str(clips), *map(_percent, shown)))
    return markdown([("clips", *map(str, accuracies), "least of 0.5 to 0.9995", "mean"), *rows])


def grouped_table(simulate: Simulations) -> str:
    """Coverage of an accuracy's interval for one run on groups."""
    accuracies, sds = (0.55, 0.75, 0.9, 0.97), (0.0, 1.0, 2.0)
    designs = [Design(groups, size) for size, groups in product(SIZES, GROUPS)]
    found = iter(
        simulate(accuracy_rates, [(Population(p, sd), design) for design in designs for sd in sds for p in accuracies])
    )
    rows = [
        (str(design.size), str(design.groups), *(_percent(next(found).coverage) for _ in product(sds, accuracies)))
        for design in designs
    ]
    return markdown([("clips a group", "groups", *(f"sd {sd:g}: {p}" for sd in sds for p in accuracies)), *rows])


_DESIGNS = (*((clips, 1) for clips in CLIPS), (6, 3), (6, 8), (8, 6), (12, 8), (25, 3), (25, 8), (75, 3))
_EVERY_RUNS = ((1, 0.0), *product((2, 3, 4, 5), RUN_SDS))


def runs_table(simulate: Simulations) -> str:
    """Coverage of an accuracy's interval for several runs, the least of three accuracies."""
    accuracies = (0.55, 0.75, 0.95)
    cases = list(product(_DESIGNS, _EVERY_RUNS))
    arguments = [
        (Population(p, float(size > 1), 2.0, sd), Design(groups, size, runs))
        for ((groups, size), (runs, sd)) in cases
        for p in accuracies
    ]
    found = iter(simulate(accuracy_rates, arguments))
    least = {case: min(next(found).coverage for _ in accuracies) for case in cases}
    return _by_runs(least)


def differences_tables(simulate: Simulations) -> str:
    """False positives, coverage and power for paired differences."""
    cases = list(product(_DESIGNS, _EVERY_RUNS))
    truths = ((0.75, 0.75), (0.95, 0.95), (0.75, 0.85))
    arguments = []
    for (groups, size), (runs, sd) in cases:
        effects = {"group_sd": float(size > 1), "clip_sd": 2.0, "run_sd": sd, "cell_sd": float(size > 1)}
        arguments += [(tuple(Population(p, **effects) for p in pair), Design(groups, size, runs)) for pair in truths]
    found = iter(simulate(difference_rates, arguments))
    rates = {case: [next(found) for _ in truths] for case in cases}
    tables = (
        (
            "False positives, the more of 0.75 and 0.95",
            {c: max(r.significant for r in f[:2]) for c, f in rates.items()},
        ),
        (
            "Coverage, the least of 0.75, 0.95, and 0.75 against 0.85",
            {c: min(r.coverage for r in f) for c, f in rates.items()},
        ),
        ("Power, 0.75 against 0.85", {c: f[2].significant for c, f in rates.items()}),
    )
    return "\n".join(f"{title}\n\n{_by_runs(shares)}" for title, shares in tables)


def _by_runs(shares: Mapping[tuple[tuple[int, int], tuple[int, float]], float]) -> str:
    """A row for each design, a column for each number of runs and run effect."""
    header = ("clips", *(f"{runs}: {sd:g}" if runs > 1 else "1 run" for runs, sd in _EVERY_RUNS))
    rows = [(_named(*design), *(_percent(shares[design, runs]) for runs in _EVERY_RUNS)) for design in _DESIGNS]
    return markdown([header, *rows])


def f1_table(simulate: Simulations) -> str:
    """Coverage of macro F1's interval."""
    cases = [(Design(groups, size, runs), classes) for (groups, size), classes, runs in product(
        ((25, 1), (60, 1), (200, 1), (12, 8), (25, 8)), (2, 5), (1, 5))]  # fmt: skip
    accuracies = (0.55, 0.75, 0.9, 0.97)
    found = iter(
        simulate(
            f1_rates,
            [
                (Population(p, float(design.size > 1), 1.0), design, classes)
                for design, classes in cases
                for p in accuracies
            ],
        )
    )
    rows = [
        (_named(d.groups, d.size), str(classes), str(d.runs), *(_percent(next(found).coverage) for _ in accuracies))
        for d, classes in cases
    ]
    return markdown([("clips", "classes", "runs", *map(str, accuracies)), *rows])


def power_table(simulate: Simulations) -> str:
    """Power against McNemar's test and the percentile bootstrap, one run on independent clips."""
    pairs = ((0.75, 0.75), (0.75, 0.85), (0.9, 0.95))
    cases = [(clips, pair, sd) for clips in CLIPS for pair in pairs for sd in (0.0, 3.0)]
    found = simulate(power, [(tuple(Population(p, 0, sd) for p in pair), Design(clips)) for clips, pair, sd in cases])
    rows = [
        (str(clips), f"{first} and {second}", f"{sd:g}", *map(_percent, (one.ours, one.mcnemar, one.bootstrap)))
        for (clips, (first, second), sd), one in zip(cases, found, strict=True)
    ]
    return markdown([("clips", "accuracies", "clip effect", "paired test", "McNemar", "percentile bootstrap"), *rows])


def _named(groups: int, size: int) -> str:
    return str(groups) if size == 1 else f"{groups} x {size}"


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=2000, help="simulated test sets for each number")
    parser.add_argument("--workers", type=int, default=1, help="processes")
    given = parser.parse_args()
    simulate = Simulations(given.samples, given.workers)
    tables: tuple[tuple[str, Callable[[], str]], ...] = (
        ("One run, independent clips (exact)", independent_table),
        ("One run, groups", lambda: grouped_table(simulate)),
        ("Several runs, the least coverage of accuracies 0.55, 0.75 and 0.95", lambda: runs_table(simulate)),
        ("Paired differences", lambda: differences_tables(simulate)),
        ("Power, one run, independent clips", lambda: power_table(simulate)),
        ("Macro F1", lambda: f1_table(simulate)),
    )
    for title, table in tables:
        sys.stdout.write(f"{title}\n\n{table()}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
