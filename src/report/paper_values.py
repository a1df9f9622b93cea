"""The paper's own numbers, from the tables in src/report/paper, each with where it stands."""

import csv
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_FOLDER = Path(__file__).resolve().parent / "paper"
NOT_STATED = "not stated"
_TABLE2 = {
    "inception_unprocessed": ("network", "unprocessed"),
    "inception_normalized": ("network", "normalized"),
    "baseline_unprocessed": ("baseline", "unprocessed"),
    "baseline_normalized": ("baseline", "normalized"),
}


@dataclass(frozen=True)
class Published:
    """A number of the paper.

    Attributes:
        value: accuracy, 0..1. condition_stated: whether the paper says which preprocessing it is for.
    """

    value: float
    source: str
    condition_stated: bool = True


@dataclass(frozen=True)
class PublishedDataset:
    """A row of the paper's table 1.

    Attributes:
        cardinalities: clips per class, largest first, as the paper lists them. clip_length: in its words.
    """

    name: str
    classes: int
    cardinalities: tuple[int, ...]
    clip_length: str


@dataclass(frozen=True)
class PublishedLoudness:
    """A row of the paper's table 4: RMS over the clips of a class, full scale 1."""

    dataset: str
    label: str
    mean: float
    deviation: float
    source: str


def accuracy(dataset: str, classifier: str, condition: str) -> Published | None:
    """What the paper got.

    Args:
        dataset: its name. classifier: `network` or `baseline`. condition: name of the preprocessing.
    """
    found = _accuracies()
    return found.get((dataset, classifier, condition)) or found.get((dataset, classifier, NOT_STATED))


@cache
def datasets() -> tuple[PublishedDataset, ...]:
    """Table 1, in its order."""
    return tuple(
        PublishedDataset(
            row["dataset"],
            int(row["classes"]),
            tuple(int(count) for count in row["cardinalities"].split(",")),
            row["clip_length"],
        )
        for row in _rows("table1")
    )


@cache
def loudness() -> tuple[PublishedLoudness, ...]:
    """Table 4, in its order; what the paper calls Spanish is `classical` here."""
    return tuple(
        PublishedLoudness(row["dataset"], row["class"], float(row["rms_mean"]), float(row["rms_std"]), row["source"])
        for row in _rows("table4")
    )


@cache
def _accuracies() -> dict[tuple[str, str, str], Published]:
    found = {}
    for row in _rows("table2"):
        for column, (classifier, condition) in _TABLE2.items():
            found[row["dataset"], classifier, condition] = Published(float(row[column]) / 100, row["source"])
    for row in (*_rows("table3"), *_rows("other_results")):
        stated = row["preprocess"] != NOT_STATED
        value = Published(float(row["accuracy"]) / 100, row["source"], stated)
        found[row["dataset"], "network", row["preprocess"]] = value
    return found


def _rows(name: str) -> list[dict[str, str]]:
    with (_FOLDER / f"{name}.csv").open(encoding="utf8", newline="") as file:
        return list(csv.DictReader(file))
