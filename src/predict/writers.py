"""Predictions as text: a table to read, CSV, or JSON; a file's rows are whole before the next one is known."""

import csv
import io
import json
from typing import Any, Protocol, runtime_checkable

import numpy as np

from src.errors import UserError, printable
from src.predict.windows import Prediction, Scored

_MOST_COLUMNS = 20
_MOST_NAMED = 5


@runtime_checkable
class Writer(Protocol):
    """One format; its pieces of text follow each other."""

    def head(self) -> str:
        """What comes before all files."""
        ...

    def rows(self, prediction: Prediction) -> str:
        """One file."""
        ...

    def foot(self) -> str:
        """What comes after all files."""
        ...


def writer(output: str, classes: tuple[str, ...]) -> Writer:
    """The writer of a format.

    Raises:
        UserError: there is no such format.
    """
    known: dict[str, type[Table | Csv | Json]] = {"table": Table, "csv": Csv, "json": Json}
    if output not in known:
        raise UserError(f"output={output}: expected {', '.join(known)}")
    return known[output](classes)


class Table:
    """Aligned columns, probabilities to three digits; the file comes last, since its length is not known before.

    A class has a column of its own. Where there are more than 20, a line names the five most probable instead.
    """

    def __init__(self, classes: tuple[str, ...]) -> None:
        self._classes = classes
        self._label = max(5, *(len(name) for name in classes))
        self._wide = len(classes) <= _MOST_COLUMNS

    def head(self) -> str:
        """The names of the columns."""
        names = "  ".join(name.rjust(5) for name in self._classes) if self._wide else "    p"
        more = "" if self._wide else f"  next most probable of {len(self._classes)} classes"
        return f"{'label'.ljust(self._label)}  {names}  {'seconds'.rjust(17)}  file{more}\n"

    def rows(self, prediction: Prediction) -> str:
        """A line per window, then the mean; one line where there is one window."""
        name, windows = printable(prediction.path), prediction.windows
        lines = [self._line(one, name) for one in windows] if len(windows) > 1 else []
        mean = f" (mean of {len(windows)} windows)" if len(windows) > 1 else ""
        return "".join([*lines, self._line(prediction.overall, name + mean)])

    def foot(self) -> str:
        """Nothing."""
        return ""

    def _line(self, one: Scored, name: str) -> str:
        best, *others = np.argsort(-one.probabilities, kind="stable")[:_MOST_NAMED]
        more = ""
        if self._wide:
            pairs = zip(self._classes, one.probabilities, strict=True)
            values = "  ".join(f"{value:.3f}".rjust(max(5, len(heading))) for heading, value in pairs)
        else:
            values = f"{one.probabilities[best]:.3f}"
            more = "  " + ", ".join(f"{self._classes[i]} {one.probabilities[i]:.3f}" for i in others)
        label = self._classes[best].ljust(self._label)
        return f"{label}  {values}  {one.start:8.2f}-{one.end:8.2f}  {name}{more}\n"


class Csv:
    """A row `file` for each file; where it has several windows, a row `window` for each before it."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self._classes = classes

    def head(self) -> str:
        """The header."""
        return _csv(["file", "part", "start", "end", "label", *(f"p_{name}" for name in self._classes)])

    def rows(self, prediction: Prediction) -> str:
        """Probabilities as predictions.csv has them: the shortest text of the same bits."""
        windows = prediction.windows if len(prediction.windows) > 1 else ()
        parts = [*(("window", one) for one in windows), ("file", prediction.overall)]
        return "".join(self._row(printable(prediction.path), part, one) for part, one in parts)

    def foot(self) -> str:
        """Nothing."""
        return ""

    def _row(self, name: str, part: str, one: Scored) -> str:
        label = self._classes[int(one.probabilities.argmax())]
        return _csv([name, part, f"{one.start:.3f}", f"{one.end:.3f}", label, *map(str, one.probabilities)])


class Json:
    """An array with an object for each file; `windows` where there are several."""

    def __init__(self, classes: tuple[str, ...]) -> None:
        self._classes = classes
        self._begun = False

    def head(self) -> str:
        """The array begins."""
        return "["

    def rows(self, prediction: Prediction) -> str:
        """A line per file."""
        content = {"file": printable(prediction.path), **as_object(prediction, self._classes)}
        comma, self._begun = "," * self._begun, True
        return f"{comma}\n{json.dumps(content, ensure_ascii=False)}"

    def foot(self) -> str:
        """The array ends."""
        return "\n]\n"


def as_object(prediction: Prediction, classes: tuple[str, ...]) -> dict[str, Any]:
    """What JSON says of a file: label, probabilities by class, start and end in seconds, and windows if several."""
    found = _object(prediction.overall, classes)
    if len(prediction.windows) > 1:
        found["windows"] = [_object(one, classes) for one in prediction.windows]
    return found


def _object(one: Scored, classes: tuple[str, ...]) -> dict[str, Any]:
    # float(str()) keeps the shortest text of a float32, which reads back as the same bits
    probabilities = {name: float(str(value)) for name, value in zip(classes, one.probabilities, strict=True)}
    label = classes[int(one.probabilities.argmax())]
    return {"label": label, "probabilities": probabilities, "start": round(one.start, 3), "end": round(one.end, 3)}


def _csv(values: list[str]) -> str:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(values)
    return text.getvalue()
