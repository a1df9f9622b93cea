"""Predictions as text: tables, CSV, JSON, label tracks of Audacity, selection tables of Raven.

A file's rows are whole before the next one is known.
"""

import csv
import io
import json
from typing import Any, ClassVar

import numpy as np

from src.errors import UserError, printable
from src.predict.decision import UNKNOWN, Decision
from src.predict.windows import Prediction, Scored

_MOST_COLUMNS = 20
_MOST_NAMED = 5


class Writer:
    """One format; its pieces of text follow each other.

    Attributes:
        per_file: whether each recording has a file of its own.
    """

    per_file: ClassVar[bool] = False

    def __init__(self, decision: Decision) -> None:
        self.decision, self.classes = decision, decision.classes

    def head(self) -> str:
        """What comes before all files."""
        return ""

    def rows(self, prediction: Prediction) -> str:
        """One file."""
        raise NotImplementedError

    def foot(self) -> str:
        """What comes after all files."""
        return ""


def writer(output: str, decision: Decision) -> Writer:
    """The writer of a format.

    Raises:
        UserError: there is no such format.
    """
    if output not in FORMATS:
        raise UserError(f"output={output}: expected {', '.join(FORMATS)}")
    return FORMATS[output](decision)


class Table(Writer):
    """Aligned columns, probabilities to three digits; the file comes last, since its length is not known before.

    A class has a column of its own. Where there are more than 20, a line names the five most probable instead.
    """

    def __init__(self, decision: Decision) -> None:
        super().__init__(decision)
        names = (*self.classes, UNKNOWN) if decision.threshold or decision.farthest is not None else self.classes
        self._label = max(5, *(len(name) for name in names))
        self._wide = len(self.classes) <= _MOST_COLUMNS

    def head(self) -> str:
        """The names of the columns."""
        names = "  ".join(name.rjust(5) for name in self.classes) if self._wide else "    p"
        more = "" if self._wide else f"  next most probable of {len(self.classes)} classes"
        return f"{'label'.ljust(self._label)}  {names}  {'seconds'.rjust(17)}  file{more}\n"

    def rows(self, prediction: Prediction) -> str:
        """A line per window, then the mean; one line where there is one window."""
        name, windows = printable(prediction.path), prediction.windows
        lines = [self._line(one, name) for one in self.decision.segments(prediction)] if len(windows) > 1 else []
        mean = f" (mean of {len(windows)} windows)" if len(windows) > 1 else ""
        return "".join([*lines, self._line(prediction.overall, name + mean)])

    def _line(self, one: Scored, name: str) -> str:
        best, *others = np.argsort(-one.probabilities, kind="stable")[:_MOST_NAMED]
        more = ""
        if self._wide:
            pairs = zip(self.classes, one.probabilities, strict=True)
            values = "  ".join(f"{value:.3f}".rjust(max(5, len(heading))) for heading, value in pairs)
        else:
            values = f"{one.probabilities[best]:.3f}"
            more = "  " + ", ".join(f"{self.classes[i]} {one.probabilities[i]:.3f}" for i in others)
        if self.decision.quantile is not None:
            more += f"  {{{', '.join(self.decision.label_set(one))}}}"
        return (
            f"{self.decision.label(one).ljust(self._label)}  {values}  {one.start:8.2f}-{one.end:8.2f}  {name}{more}\n"
        )


class Csv(Writer):
    """A row `file` for each file; where it has several windows, a row `window` for each before it."""

    def head(self) -> str:
        """The header."""
        sets = [] if self.decision.quantile is None else ["set"]
        sets += [] if self.decision.farthest is None else ["distance"]
        return _csv(["file", "part", "start", "end", "label", *sets, *(f"p_{name}" for name in self.classes)])

    def rows(self, prediction: Prediction) -> str:
        """Probabilities as predictions.csv has them: the shortest text of the same bits."""
        windows = self.decision.segments(prediction) if len(prediction.windows) > 1 else ()
        parts = [*(("window", one) for one in windows), ("file", prediction.overall)]
        return "".join(self._row(printable(prediction.path), part, one) for part, one in parts)

    def _row(self, name: str, part: str, one: Scored) -> str:
        sets = [] if self.decision.quantile is None else ["|".join(self.decision.label_set(one))]
        sets += [] if one.distance is None else [f"{one.distance:.4f}"]
        label = self.decision.label(one)
        return _csv([name, part, f"{one.start:.3f}", f"{one.end:.3f}", label, *sets, *map(str, one.probabilities)])


class Json(Writer):
    """An array with an object for each file; `windows` where there are several."""

    _begun = False

    def head(self) -> str:
        """The array begins."""
        return "["

    def rows(self, prediction: Prediction) -> str:
        """A line per file."""
        content = {"file": printable(prediction.path), **as_object(prediction, self.decision)}
        comma, self._begun = "," * self._begun, True
        return f"{comma}\n{json.dumps(content, ensure_ascii=False)}"

    def foot(self) -> str:
        """The array ends."""
        return "\n]\n"


class Audacity(Writer):
    """A label track: start, end, label, tabs between them; what is unknown is left out."""

    per_file = True

    def rows(self, prediction: Prediction) -> str:
        """A line per window, or per joined windows."""
        labelled = [(one, self.decision.label(one)) for one in self.decision.segments(prediction)]
        return "".join(
            f"{one.start:.6f}\t{one.end:.6f}\t{_cell(label)}\n" for one, label in labelled if label != UNKNOWN
        )


class Raven(Writer):
    """A selection table; the frequencies are those of the whole band, which no selection bounds."""

    per_file = True
    _HEADER = (
        "Selection", "View", "Channel", "Begin Time (s)", "End Time (s)", "Low Freq (Hz)", "High Freq (Hz)",
        "Begin File", "Label", "Confidence",
    )  # fmt: skip

    def head(self) -> str:
        """The header."""
        return "\t".join(self._HEADER) + "\n"

    def rows(self, prediction: Prediction) -> str:
        """A line per window, or per joined windows."""
        name = _cell(printable(prediction.path.name))
        labelled = [(one, self.decision.label(one)) for one in self.decision.segments(prediction)]
        found = [(one, label) for one, label in labelled if label != UNKNOWN]
        return "".join(
            f"{number}\tSpectrogram 1\t1\t{one.start:.6f}\t{one.end:.6f}\t0\t{prediction.nyquist:g}\t{name}\t"
            f"{_cell(label)}\t{one.probabilities.max():.4f}\n"
            for number, (one, label) in enumerate(found, start=1)
        )


FORMATS: dict[str, type[Writer]] = {"table": Table, "csv": Csv, "json": Json, "audacity": Audacity, "raven": Raven}
ENDINGS = {".csv": "csv", ".json": "json", ".txt": "audacity"}


def as_object(prediction: Prediction, decision: Decision) -> dict[str, Any]:
    """What JSON says of a file: label, probabilities by class, start and end in seconds, and windows if several."""
    found = _object(prediction.overall, decision)
    if len(prediction.windows) > 1:
        found["windows"] = [_object(one, decision) for one in decision.segments(prediction)]
    return found


def _object(one: Scored, decision: Decision) -> dict[str, Any]:
    # float(str()) keeps the shortest text of a float32, which reads back as the same bits
    probabilities = {name: float(str(value)) for name, value in zip(decision.classes, one.probabilities, strict=True)}
    sets: dict[str, Any] = {} if decision.quantile is None else {"set": decision.label_set(one)}
    sets |= {} if one.distance is None else {"distance": round(one.distance, 4)}
    times = {"start": round(one.start, 3), "end": round(one.end, 3)}
    return {"label": decision.label(one), **sets, "probabilities": probabilities, **times}


def _cell(text: str) -> str:
    return text.replace("\t", " ")


def _csv(values: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()
