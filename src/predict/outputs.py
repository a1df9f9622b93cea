"""Where predictions go: a stream of text, or a folder with a file for each recording; both can be gone on with."""

import csv
import io
import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from src.data.writing import write_asked
from src.errors import UserError, printable
from src.predict.windows import Prediction
from src.predict.writers import Csv, Writer


class TextFile:
    """All recordings in one file, or on standard output."""

    def __init__(self, out: Path | None, writer: Writer) -> None:
        self._out, self._writer = out, writer
        self._stream: TextIO = sys.stdout

    @contextmanager
    def opened(self, made_by: Mapping[str, Any], *, resume: bool) -> Iterator[set[str]]:
        """Open the place; the names of recordings whose predictions are there already.

        Rows of a recording that a killed process left unfinished are dropped.

        Args:
            made_by: the run and the options, as JSON takes them.
            resume: whether to go on with what is there.

        Raises:
            UserError: the place cannot be written, or what is there was made by another run or with other options.
        """
        if self._out is None:
            with self._framed(""):
                yield set()
            return
        path, note = self._out, self._out.with_name(f"{self._out.name}.json")
        kept, names = "", set[str]()
        if resume and path.exists():
            _check(note, made_by)
            kept, names = _whole_recordings(path.read_text("utf8"))
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = path.open("w", encoding="utf8", newline="")
        except OSError as error:
            raise UserError(f"out={path}: cannot be written ({error.strerror})") from error
        with stream:
            self._stream = stream
            if isinstance(self._writer, Csv):
                write_asked(f"out={path}", {note: _json(made_by)})
            with self._framed(kept):
                yield names

    def write(self, prediction: Prediction) -> None:
        """The predictions of one recording."""
        self._put(self._writer.rows(self._writer.decision.calibrate(prediction)))

    @contextmanager
    def _framed(self, kept: str) -> Iterator[None]:
        self._put(kept or self._writer.head())
        try:
            yield
        finally:
            self._put(self._writer.foot())

    def _put(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


class LabelFolder:
    """A file for each recording, named as it is and in folders like its own."""

    def __init__(self, out: Path, audio: Path, writer: Writer) -> None:
        self._out, self._writer = out, writer
        self._top = audio if audio.is_dir() else audio.parent

    @contextmanager
    def opened(self, made_by: Mapping[str, Any], *, resume: bool) -> Iterator[set[str]]:
        """See `TextFile.opened`."""
        note, names = self._out / "predictions.json", set[str]()
        if resume and note.exists():
            _check(note, made_by)
            names = {printable(path) for path in self._top.rglob("*") if self._file(path).exists()}
        write_asked(f"out={self._out}", {note: _json(made_by)})
        yield names

    def write(self, prediction: Prediction) -> None:
        """The predictions of one recording."""
        writer = self._writer
        text = writer.head() + writer.rows(writer.decision.calibrate(prediction)) + writer.foot()
        write_asked(f"out={self._out}", {self._file(prediction.path): text.encode()})

    def _file(self, path: Path) -> Path:
        relative = path.relative_to(self._top)
        return self._out / relative.with_name(f"{relative.name}.txt")


def _whole_recordings(text: str) -> tuple[str, set[str]]:
    """The header and the rows of recordings that are whole, and their names."""
    kept, end, names = 0, 0, set[str]()
    for number, line in enumerate(text.splitlines(keepends=True)):
        end += len(line)
        row = next(csv.reader(io.StringIO(line)), [])
        whole = line.endswith("\n") and len(row) > 1 and row[1] == "file"
        if number == 0 or whole:
            kept = end
            names |= {row[0]} if whole and number else set()
    return text[:kept], names


def _check(note: Path, made_by: Mapping[str, Any]) -> None:
    try:
        known = json.loads(note.read_bytes())
    except (OSError, ValueError):
        known = None
    if known != json.loads(_json(made_by)):
        raise UserError(
            f"resume=true: {printable(note)} does not say that the same run and options made what is there; "
            "leave resume out to write it anew, or write elsewhere"
        )


def _json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, indent=1, ensure_ascii=False).encode()
