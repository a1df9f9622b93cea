"""Are two cells of a table different? Paired, on the same test clips; see docs/statistics.md."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Int64
from scipy.fft import irfft, next_fast_len
from scipy.optimize import brentq
from scipy.special import bdtr

from src.errors import UserError
from src.evaluation.intervals import Clusters, Groups, Interval, Variance, variance

LEAST_GROUPS = 6
"""With five groups or fewer no sign-flip test can reach 0.05: its least p is 2 / 2^5 = 0.0625."""
_LEAST_P = 1e-15  # that rounding errors leave


@dataclass(frozen=True, eq=False)
class Cell:
    """What the runs of one cell of a table got right.

    Attributes:
        name: what an error calls it.
        ids: names of its test clips.
        correct: whether a run got a clip right, the clips in the order of `ids`.
        groups: group of each clip; None: every clip by itself.
        finetuned: whether the network was trained as well, so that a run says little about other seeds.
    """

    name: str
    ids: Sequence[str]
    correct: Bool[np.ndarray, "runs clips"]
    groups: Groups = None
    finetuned: bool = False

    def __post_init__(self) -> None:
        if len(self.ids) != self.correct.shape[1]:
            raise ValueError(f"{self.name}: got {len(self.ids)} clip names for {self.correct.shape[1]} columns")
        if len(set(self.ids)) != len(self.ids):
            raise ValueError(f"{self.name}: a clip is named twice; expected each test clip once")
        if self.correct.size == 0:
            raise UserError(
                f"{self.name}: got {len(self.correct)} runs of {len(self.ids)} test clips; expected 1 of each or more"
            )


@dataclass(frozen=True)
class Votes:
    """Exact McNemar test on the runs' majority votes, for independent clips.

    Attributes:
        only_first: clips that the first cell's vote got right and the second's wrong; only_second: the reverse.
        tied: clips left out, because a cell's runs were split evenly on them (never with odd numbers of runs).
        p: two-sided.
    """

    only_first: int
    only_second: int
    tied: int
    p: float


@dataclass(frozen=True)
class Comparison:
    """Outcome of a paired comparison; accuracies in 0..1.

    Attributes:
        clusters: the test clips and their groups.
        difference: accuracy of the second cell minus that of the first, each averaged over its runs.
        interval: of the difference; it contains 0 if and only if p is above its level. None with a single group.
        p: two-sided; nan where `refusal` says why there is none.
        p_flip: of the sign-flip test alone, which takes the runs as given; nan likewise.
        votes: McNemar's test; None where clips come in groups.
        refusal: what is too few for a verdict, e.g. `5 groups`; empty where nothing is.
    """

    clusters: Clusters = field(compare=False)
    difference: float
    interval: Interval | None
    p: float
    p_flip: float
    votes: Votes | None
    refusal: str = ""


def compare(first: Cell, second: Cell, confidence: float = 0.95) -> Comparison:
    """Compare two cells on the same test clips.

    The unit is the group of clips (the clip, where it has none): its score is its clips' difference, averaged over
    runs. Two tests are made, and p is the larger of theirs. The sign-flip test is exact for the runs at hand. The t
    test on a cluster-robust variance counts runs as sampled, too, where a cell has more than one. The interval is that
    of the t test, with 0 where the sign-flip test does not reject it.

    Args:
        first: the reference.
        second: what is compared with it. The numbers of runs and the order of clips may differ.
        confidence: coverage of the interval, 0..1.

    Raises:
        UserError: the cells were tested on different clips.
    """
    order = align(first, second)
    correct = first.correct, second.correct[:, order]
    others = None if second.groups is None else [second.groups[index] for index in order]
    each = (Clusters.of(groups, len(order)) for groups in (first.groups, others))
    clusters = min(each, key=lambda one: one.count)  # a cell whose groups are not known has the other's
    difference = float(correct[1].mean() - correct[0].mean())
    votes = None if clusters.grouped else vote(*correct)
    refusal = _refusal((first, second), clusters)
    if clusters.count < 2:
        return Comparison(clusters, difference, None, np.nan, np.nan, votes, refusal)
    # whole numbers: a difference of 0 is exactly 0
    scores = len(correct[0]) * correct[1].sum(axis=0) - len(correct[1]) * correct[0].sum(axis=0)
    p_flip = sign_flip(np.rint(clusters.sums(scores[None].astype(np.float64))[0]).astype(np.int64))
    margin = _Margin.of(correct, clusters)
    half, level = margin(1 - confidence), 1 - confidence
    low, high = max(-1.0, difference - half), min(1.0, difference + half)
    if p_flip > level:
        low, high = min(low, 0.0), max(high, 0.0)
    p = np.nan if refusal else max(p_flip, margin.p(abs(difference)))
    return Comparison(clusters, difference, Interval(low, high), p, np.nan if refusal else p_flip, votes, refusal)


def align(first: Cell, second: Cell) -> Int64[np.ndarray, " clips"]:
    """Where each of the first cell's clips stands among the second's.

    Raises:
        UserError: the two sets of clips differ.
    """
    position = {name: index for index, name in enumerate(second.ids)}
    lacking, extra = len(set(first.ids) - position.keys()), len(position.keys() - set(first.ids))
    if lacking or extra:
        raise UserError(
            f"{first.name} and {second.name} were tested on different clips: {lacking} of {len(first.ids)} only in the "
            f"first, {extra} of {len(second.ids)} only in the second; expected the same. Was one run with another "
            "split, edition of the dataset, or with files left out? Run both with the same dataset and split"
        )
    return np.array([position[name] for name in first.ids], dtype=np.int64)


def majority(correct: Bool[np.ndarray, "runs clips"]) -> tuple[Bool[np.ndarray, " clips"], Bool[np.ndarray, " clips"]]:
    """The runs' vote on each clip: whether more than half of them got it right, and whether they were split evenly."""
    twice = 2 * np.count_nonzero(correct, axis=0)
    return twice > len(correct), twice == len(correct)


def vote(first: Bool[np.ndarray, "first_runs clips"], second: Bool[np.ndarray, "second_runs clips"]) -> Votes:
    """Exact McNemar test on the majority votes of two cells' runs."""
    first_right, first_tied = majority(first)
    second_right, second_tied = majority(second)
    clear = ~(first_tied | second_tied)
    only_first = int(np.count_nonzero(first_right & ~second_right & clear))
    only_second = int(np.count_nonzero(second_right & ~first_right & clear))
    return Votes(only_first, only_second, int(np.count_nonzero(~clear)), mcnemar(only_first, only_second))


def mcnemar(only_first: int, only_second: int) -> float:
    """Two-sided exact p of McNemar's test: twice the binomial tail of the rarer kind of disagreement, 1 at most."""
    return min(1.0, 2 * float(bdtr(min(only_first, only_second), only_first + only_second, 0.5)))


def sign_flip(differences: Int64[np.ndarray, " groups"]) -> float:
    """Two-sided exact p of the sign-flip test on the sum of the groups' differences.

    Under the null hypothesis each group's difference would as soon have had the other sign (Winkler et al. 2014), which
    makes 2^groups equally likely sums. Their distribution is the inverse Fourier transform of the product of the
    groups' characteristic functions cos(w d). For differences of -1, 0 and 1 it is McNemar's exact test.

    Args:
        differences: whole numbers.
    """
    sizes, counts = np.unique(np.abs(differences[differences != 0]), return_counts=True)
    if sizes.size == 0:
        return 1.0
    sizes = sizes // (unit := np.gcd.reduce(sizes))
    span = int(sizes @ counts)
    points = next_fast_len(2 * span + 1, real=True)
    frequencies = 2 * np.pi * np.arange(points // 2 + 1) / points
    transform = np.ones(len(frequencies))
    for size, count in zip(sizes, counts, strict=True):
        transform *= np.cos(frequencies * size) ** count
    chances = irfft(transform, n=points)  # of the sums 0, 1 .. span, and from the end -1, -2 .. -span
    observed = abs(int(differences.sum())) // int(unit)
    beyond = 2 * chances[observed : span + 1].sum() if observed else 1.0
    least = max(0.5 ** float(counts.sum() - 1), _LEAST_P)
    return float(np.clip(beyond, least, 1))


@dataclass(frozen=True)
class _Margin:
    """Half-width of the t interval of a difference.

    Attributes:
        spread: its variance.
        units: number of independent clips that would tell as much as these.
    """

    spread: Variance
    units: float

    @classmethod
    def of(
        cls,
        correct: tuple[Bool[np.ndarray, "first_runs clips"], Bool[np.ndarray, "second_runs clips"]],
        clusters: Clusters,
    ) -> "_Margin":
        first, second = (variance((each - each.mean()) / clusters.clips, clusters) for each in correct)
        change = correct[1].mean(axis=0) - correct[0].mean(axis=0)
        scores = (change - change.mean()) / clusters.clips
        clips = variance(scores[None], clusters).clips
        alone = clusters.clips / (clusters.clips - 1) * float((scores**2).sum())
        whole = clusters.clips / clusters.effective
        units = clusters.clips / (min(max(clips / alone, 1), whole) if alone > 0 else whole)
        runs = first.runs + second.runs
        seeds = min(len(each) for each in correct)
        return cls(
            Variance(
                # two pseudo-clips, one that changes to each side, seen by one run (Bonett and Price 2012)
                clips=clips + 2 / (clusters.clips * units * seeds),
                runs=runs,
                residual=first.residual + second.residual,
                clips_df=clusters.effective - 1,
                runs_df=runs**2 / sum(v.runs**2 / v.runs_df for v in (first, second) if v.runs) if runs else 1.0,
            ),
            units,
        )

    def __call__(self, level: float) -> float:
        """What is missed with probability `level`; never less than what a change that no unit shows may reach."""
        return float(max(self.spread.margin(level), 1 - (level / 2) ** (1 / self.units)))

    def p(self, difference: float) -> float:
        """The level at which the margin is as large as a difference."""
        if self(1.0) >= difference:
            return 1.0
        if self(_LEAST_P) <= difference:
            return _LEAST_P
        return float(10 ** brentq(lambda power: self(10**power) - difference, np.log10(_LEAST_P), 0, xtol=1e-10))


def _refusal(cells: tuple[Cell, Cell], clusters: Clusters) -> str:
    """What is too few for a verdict."""
    if clusters.count < LEAST_GROUPS:
        return f"{clusters.count} {clusters.unit if clusters.count > 1 else clusters.unit[:-1]}"
    if any(cell.finetuned and len(cell.correct) == 1 for cell in cells):
        return "1 run"
    return ""
