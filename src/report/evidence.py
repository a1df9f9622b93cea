"""What the claims rest on: every paired comparison, corrected as one family, and loudness against change."""

import math
from collections.abc import Sequence

import numpy as np

from src.evaluation.statistics import Correlation, correlation
from src.report import paired, paper_values
from src.report.followup import by_label, present
from src.report.paired import Compared
from src.report.scored_cells import BASELINE, NETWORK, Row, ScoredCells
from src.report.table4 import loudness_of, paper_overlap

CLASSIFIERS = {NETWORK: "table2_network", BASELINE: "table2_baseline"}
CONDITIONS = ("unprocessed", "normalized")
CHANGE = "{}: normalized − unprocessed"
AGAINST = "normalized: network − baseline"
SHORTER = "{}, {}: short − full"
BY_LOUDNESS = "unprocessed: by loudness − by dance"
BY_INSTRUMENT = "by instrument − by metre"
AUGMENTED = "augmented − normalized"
_Asked = tuple[str, str, Row | None, Row | None]


class Evidence:
    """Comparisons by what they compare."""

    def __init__(self, desk: ScoredCells) -> None:
        """Test all pairs that are wanted."""
        self.desk = desk
        self.all = paired.family(present([*self._length(), *self._conditions(), *self._others()]))

    def one(self, subject: str, what: str) -> Compared | None:
        """A comparison; None where its cells are not wanted."""
        return next((one for one in self.all if (one.pair.subject, one.pair.what) == (subject, what)), None)

    def every(self, what: str) -> list[Compared]:
        """The same comparison in all datasets."""
        return [one for one in self.all if one.pair.what == what]

    def _length(self) -> list[_Asked]:
        asked: list[_Asked] = []
        for name, experiment in CLASSIFIERS.items():
            for condition in CONDITIONS:
                full, short = (self.desk.find(experiment, title, condition) for title in ("genre", "short_genre"))
                asked.append(("genre", SHORTER.format(name, condition), full, short))
        return asked

    def _conditions(self) -> list[_Asked]:
        asked: list[_Asked] = []
        for name, experiment in CLASSIFIERS.items():
            for title in dict.fromkeys(row.cell.wanted.title for row in self.desk.of(experiment)):
                plain, normal = (self.desk.find(experiment, title, condition) for condition in CONDITIONS)
                asked.append((title, CHANGE.format(name), plain, normal))
        for title in ("ballroom", "genre", "vocalist"):
            experiments = (CLASSIFIERS[BASELINE], CLASSIFIERS[NETWORK])
            baseline, network = (self.desk.find(experiment, title, "normalized") for experiment in experiments)
            asked.append((title, AGAINST, baseline, network))
        return asked

    def _others(self) -> list[_Asked]:
        find = self.desk.find
        dances = find("table2_network", "ballroom", "unprocessed")
        loudness = find("loudness", "loudness5", "unprocessed")
        plain, augmented = (find("augmentation", "ballroom9", name) for name in ("normalized", "augmented"))
        metre, instrument = (by_label(self.desk, label) for label in ("metre", "instrument"))
        return [
            ("ballroom", BY_LOUDNESS, dances, loudness),
            ("ballroom9", AUGMENTED, plain, augmented),
            ("timing_timbre", BY_INSTRUMENT, metre, instrument),
        ]


def loudness_and_change(changes: Sequence[Compared], desk: ScoredCells) -> tuple[Correlation, int]:
    """Spearman's correlation, over datasets, of overlap in loudness with the change; and over how many."""
    cells = [one.pair.first.cell for one in changes]
    pairs = []
    for one in changes:
        loudness = loudness_of(cells, one.pair.subject)
        if one.result is not None and loudness is not None and not math.isnan(loudness.overlap):
            pairs.append((loudness.overlap, one.result.difference))
    x, y = np.array(pairs, dtype=np.float64).reshape(-1, 2).T
    return correlation(x, y, "spearman", desk.rng("overlap")), len(pairs)


def paper_loudness_and_change(desk: ScoredCells) -> Correlation:
    """The same from the paper's tables 2 and 4."""
    pairs = []
    for title in dict.fromkeys(row.dataset for row in paper_values.loudness()):
        plain, normal = (paper_values.accuracy(title, NETWORK, condition) for condition in CONDITIONS)
        if plain and normal:
            pairs.append((paper_overlap(title), normal.value - plain.value))
    x, y = np.array(pairs, dtype=np.float64).T
    return correlation(x, y, "spearman", desk.rng("paper overlap"))
