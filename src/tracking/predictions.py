"""What a run said of every clip, read back from its artifact."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from src.errors import UserError

PREDICTIONS = "predictions.csv"
_NEEDED = ("clip", "group", "part", "label", "predicted")
_FIRST_CLASS = "p_"


@dataclass(frozen=True, eq=False)
class Predictions:
    """One row per clip of the dataset, tested or not.

    Attributes:
        ids: names of the clips. groups: None where unknown. parts: `train`, `validation` or `test`.
        labels, predicted: names of classes. classes: in the order of the classifier's outputs.
        duration: seconds; rms: full scale is 1, as recorded; nan where the run did not say.
        probabilities: of each clip and class.
    """

    ids: tuple[str, ...]
    groups: tuple[str | None, ...]
    parts: tuple[str, ...]
    labels: tuple[str, ...]
    predicted: tuple[str, ...]
    classes: tuple[str, ...]
    duration: Float64[np.ndarray, " clips"]
    rms: Float64[np.ndarray, " clips"]
    probabilities: Float64[np.ndarray, "clips classes"]

    def where(self, part: str) -> Int64[np.ndarray, " chosen"]:
        """Positions of one part's clips."""
        return np.array([i for i, p in enumerate(self.parts) if p == part], dtype=np.int64)

    def of(self, label: str) -> Int64[np.ndarray, " chosen"]:
        """Positions of one class's clips."""
        return np.array([i for i, known in enumerate(self.labels) if known == label], dtype=np.int64)

    def examples(
        self, part: str, classes: Sequence[str]
    ) -> tuple[Float64[np.ndarray, "chosen classes"], Int64[np.ndarray, " chosen"]]:
        """Probabilities of one part's clips, and the position of each one's class.

        Args:
            classes: in the order wanted.

        Raises:
            UserError: the part has no clips.
        """
        chosen = self.where(part)
        if not len(chosen):
            raise UserError(f"the run has no {part} clips, by which probabilities could be judged")
        columns = [self.classes.index(name) for name in classes]
        targets = np.array([list(classes).index(self.labels[i]) for i in chosen], dtype=np.int64)
        return self.probabilities[chosen][:, columns], targets


def read_predictions(content: bytes, run_id: str) -> Predictions:
    """Parse `predictions.csv`.

    Raises:
        UserError: it is not such a table.
    """
    table = csv.reader(io.StringIO(content.decode("utf8"), newline=""))
    header = next(table, [])
    lacking = [name for name in _NEEDED if name not in header]
    place = {name: i for i, name in enumerate(header)}
    named = [name for name in header if name.startswith(_FIRST_CLASS)]
    others = [name for name in header if name not in named]
    chosen = [place[name] for name in named]
    rows, probabilities = [], []
    for row in table:  # each turned into numbers at once: as texts a thousand classes would take gigabytes
        probabilities.append(np.array([row[i] for i in chosen], dtype=np.float64))
        rows.append([row[place[name]] for name in others])
    if lacking or not rows:
        what = f"lacks the columns {', '.join(lacking)}" if lacking else "has no rows"
        raise UserError(f"run {run_id}: its {PREDICTIONS} {what}; run it again with force=true")
    columns = dict(zip(others, zip(*rows, strict=True), strict=True))

    def numbers(name: str) -> Float64[np.ndarray, " clips"]:
        return np.array(columns.get(name, [np.nan] * len(rows)), dtype=np.float64)

    return Predictions(
        ids=columns["clip"],
        groups=tuple(group or None for group in columns["group"]),
        parts=columns["part"],
        labels=columns["label"],
        predicted=columns["predicted"],
        classes=tuple(name.removeprefix(_FIRST_CLASS) for name in named),
        duration=numbers("duration"),
        rms=numbers("rms"),
        probabilities=np.stack(probabilities),
    )
