"""Features as a table for other programs: a row a clip or window, named columns, in the format of the file's name."""

import csv
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32

from src.data import dataset as datasets
from src.data.audio import UnreadableAudio, Window, header
from src.data.clip import Dataset
from src.data.dataset import DatasetSettings
from src.data.split import Split
from src.data.windows import window_starts
from src.errors import UserError, printable
from src.features.digests import FileDigests
from src.features.extract import Extraction, extract
from src.features.labelled import Runtime
from src.features.pipeline import FeaturePipeline

COLUMNS = ("file", "start", "end", "label", "group", "part")
_ROWS = 1024


@dataclass(eq=False)
class FeatureTable:
    """A row for each clip or window, in the order of the files.

    Attributes:
        names: of the features.
        columns: values of `COLUMNS`, a tuple for each row; start and end in seconds of the file, empty text where a
            dataset has no labels, groups or parts.
        features: a row each.
    """

    names: list[str]
    columns: list[tuple[str, float, float, str, str, str]] = field(default_factory=list)
    features: list[Float32[np.ndarray, " features"]] = field(default_factory=list)

    def blocks(self) -> Iterator[tuple[dict[str, list[str] | list[float]], Float32[np.ndarray, "rows features"]]]:
        """Columns by name and features of some rows at a time."""
        for begin in range(0, len(self.columns), _ROWS):
            rows = self.columns[begin : begin + _ROWS]
            columns = {name: [row[i] for row in rows] for i, name in enumerate(COLUMNS)}
            yield columns, np.stack(self.features[begin : begin + _ROWS])  # type: ignore[misc]  # a column, one type


def feature_table(
    settings: DatasetSettings,
    contents: FileDigests,
    pipeline: FeaturePipeline,
    split: Split,
    runtime: Runtime,
    *,
    window: float | None = None,
    hop: float | None = None,
) -> tuple[FeatureTable, int]:
    """Features of every clip, or of every window of it, and how many were not in the cache.

    Args:
        settings: whose labels are used; of `dataset=files` there are none.
        window: seconds of each window; None: the clip as the dataset has it.
        hop: seconds from one window to the next; None: their length.

    Raises:
        UserError: files that cannot be used, unless `dataset.on_unreadable=skip`; not one can be used; no such classes.
    """
    first = pipeline.window.start
    starts = {clip.id: [first] for clip in contents.dataset.clips}
    if window is not None:
        starts = {clip.id: _starts(clip.path, first, window, hop) for clip in contents.dataset.clips}
    rows: dict[str, list[tuple[float, float, np.ndarray]]] = {}
    failed: dict[str, str] = {}
    labelled: dict[str, tuple[str, str, str]] = {}
    computed, number = 0, max(map(len, starts.values()), default=0)
    for k in range(number):
        clips = tuple(c for c in contents.dataset.clips if len(starts[c.id]) > k and (k == 0 or c.id in rows))
        part = replace(contents, dataset=replace(contents.dataset, clips=clips))
        windowed = pipeline if window is None else _at(pipeline, first + k * (hop or window), window)
        title = f"{settings.title}: features" + f", window {k + 1} of {number}" * (number > 1)
        extraction = extract(
            part, windowed, cache=runtime.cache, workers=runtime.workers, progress=runtime.progress(title)
        )
        if k == 0:
            failed = extraction.failed
            labelled = _labels(settings, contents.dataset, extraction, split)
        computed += extraction.computed
        for clip, facts, row in zip(extraction.clips, extraction.facts, extraction.features, strict=True):
            begin = clip.cut(windowed.window).start
            rows.setdefault(clip.id, []).append((begin, begin + facts.duration, row))
    if failed and (settings.on_unreadable == "fail" or not rows):
        listed = "\n  ".join(failed.values())
        raise UserError(
            f"{settings.title}: {len(failed)} of {len(contents.dataset.clips)} files cannot be used:\n  {listed}\n"
            "Mend or remove them, or leave them out with dataset.on_unreadable=skip"
        )
    table = FeatureTable(pipeline.backbone.feature_names)
    for clip in contents.dataset.clips:
        if clip.id in labelled:
            for begin, end, row in rows[clip.id]:
                table.columns.append((clip.id, begin, end, *labelled[clip.id]))
                table.features.append(row)
    return table, computed


def _starts(path: Path, first: float, length: float, hop: float | None) -> list[float]:
    try:
        return window_starts(header(path).seconds, first, length, hop)
    except UnreadableAudio:
        return [first]  # extraction says why


def _at(pipeline: FeaturePipeline, start: float, length: float) -> FeaturePipeline:
    window = Window(start, length, pipeline.window.sample_rate)
    return replace(pipeline, image_transform=replace(pipeline.image_transform, window=window))


def _labels(
    settings: DatasetSettings, listed: Dataset, extraction: Extraction, split: Split
) -> dict[str, tuple[str, str, str]]:
    """Label, group and part by clip id, of the clips that take part."""
    usable = replace(listed, clips=tuple(extraction.clips))
    if settings.source == "files":
        return {clip.id: ("", clip.group or "", "") for clip in usable.clips}
    usable = datasets.labelled(settings, usable, [facts.rms for facts in extraction.facts])
    parts = split.parts(usable)
    return {clip.id: (clip.label, clip.group or "", part) for clip, part in zip(usable.clips, parts, strict=True)}


def check_output(output: Path) -> Path:
    """The path of a table.

    Raises:
        UserError: its name ends in no known format.
    """
    if output.suffix.lower() not in _WRITERS:
        raise UserError(f"output={printable(output)}: expected a name ending in {', '.join(_WRITERS)}")
    return output


def write(table: FeatureTable, output: Path, relation: str) -> None:
    """Write a table in the format that the file's name ends in; whole or not at all.

    Args:
        relation: name of the dataset, which ARFF holds.

    Raises:
        UserError: the place cannot be written.
    """
    try:
        with _replacing(check_output(output)) as path:
            _WRITERS[output.suffix.lower()](table, path, relation)
    except OSError as error:
        raise UserError(f"output={printable(output)}: cannot be written ({error.strerror})") from error


@contextmanager
def _replacing(output: Path) -> Iterator[Path]:
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=output.parent, prefix=".features.") as folder:
        path = Path(folder) / output.name
        yield path
        path.replace(output)


def _csv(table: FeatureTable, path: Path, _: str) -> None:
    with path.open("w", encoding="utf8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([*COLUMNS, *table.names])
        for (name, start, end, *more), row in zip(table.columns, table.features, strict=True):
            # the text of a float32 is the shortest that reads back as the same bits
            writer.writerow([name, f"{start:.3f}", f"{end:.3f}", *more, *map(str, row)])


def _parquet(table: FeatureTable, path: Path, _: str) -> None:
    import pyarrow
    from pyarrow import parquet

    types = [pyarrow.float64() if name in ("start", "end") else pyarrow.string() for name in COLUMNS]
    schema = pyarrow.schema([*zip(COLUMNS, types, strict=True), *((name, pyarrow.float32()) for name in table.names)])
    with parquet.ParquetWriter(path, schema) as writer:
        for columns, features in table.blocks():
            values = [*columns.values(), *np.ascontiguousarray(features.T)]
            arrays = [pyarrow.array(v, kind.type) for v, kind in zip(values, schema, strict=True)]
            writer.write_table(pyarrow.Table.from_arrays(arrays, schema=schema))


def _npz(table: FeatureTable, path: Path, _: str) -> None:
    columns: dict[str, Any] = {name: np.array([row[i] for row in table.columns]) for i, name in enumerate(COLUMNS)}
    columns["files"] = columns.pop("file")  # savez has an argument of that name
    with path.open("wb") as file:
        np.savez(file, features=np.stack(table.features), feature_names=np.array(table.names), **columns)


def _arff(table: FeatureTable, path: Path, relation: str) -> None:
    """WEKA takes the last attribute for the class; what is not known is a question mark."""

    def nominal(column: str) -> str:
        known = sorted({str(row[COLUMNS.index(column)]) for row in table.columns} - {""})
        return "{" + ",".join(map(_quoted, known)) + "}" if known else "string"

    with path.open("w", encoding="utf8") as file:
        file.write(f"@relation {_quoted(relation)}\n\n@attribute file string\n")
        file.write(f"@attribute start numeric\n@attribute end numeric\n@attribute group {nominal('group')}\n")
        file.write(f"@attribute part {nominal('part')}\n")
        file.writelines(f"@attribute {_quoted(name)} numeric\n" for name in table.names)
        file.write(f"@attribute label {nominal('label')}\n\n@data\n")
        for (name, start, end, label, group, part), row in zip(table.columns, table.features, strict=True):
            known = [_quoted(value) if value else "?" for value in (group, part, label)]
            values = [_quoted(name), f"{start:.3f}", f"{end:.3f}", *known[:2], *map(str, row), known[2]]
            file.write(",".join(values) + "\n")


def _quoted(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


_WRITERS: dict[str, Callable[[FeatureTable, Path, str], None]] = {
    ".parquet": _parquet,
    ".csv": _csv,
    ".npz": _npz,
    ".arff": _arff,
}
