"""A sweep in one file, to be read into another store: values as JSON, artifacts as they are, no machine's paths."""

import hashlib
import json
import logging
import math
import posixpath
import re
import tempfile
import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path, PurePosixPath

from src.data.unpack import unpack
from src.errors import UserError, printable, printable_lines, redact
from src.tracking.checkpoint import CONFIG, HEAD, Parts
from src.tracking.copying import Copy, artifacts
from src.tracking.database import ARTIFACTS
from src.tracking.ledger import Ledger
from src.tracking.model_card import CARD
from src.tracking.naming import CELL
from src.tracking.predictions import read_predictions
from src.tracking.results import PREDICTIONS
from src.tracking.run_index import look_up
from src.tracking.store import Files, RunRecord, Store, differences, files_in, files_tag, recorded_files

log = logging.getLogger(__name__)

_FORMAT = 2
_LIST = "sweep.json"
_LONGEST_LIST = 256 << 20  # bytes; a run takes some 20 thousand
_TEXTS = (".yaml", ".json")
# Data that no viewer runs as a program. MLflow models, which hold code, are made again from the run.
_KINDS = (*_TEXTS, ".csv", ".png", ".safetensors", ".txt")
_REQUIRED = (CONFIG, CARD, PREDICTIONS, HEAD)
_NAME = re.compile(r"[/\w.\- :]{1,250}")  # as MLflow takes them
_LONGEST_VALUE = {"tag": 8000, "param": 6000}  # MLflow cuts longer ones
_DIGEST = re.compile(r"[0-9a-f]{32}")
_TAGS = {
    "identity": _DIGEST, "data_digest": _DIGEST, "seed": re.compile(r"\d{1,10}"),
    "origin": re.compile("recorded|rendered"), "result_version": re.compile(r"\d{1,6}"), "cell": _DIGEST,
    "settings": _DIGEST,
}  # fmt: skip
_ANY = re.compile(".+")
_SHARE = re.compile(r"(train|validation|test)/(accuracy|macro_f1|recall/.+)")
_COUNT = re.compile(r"clips/.+|groups_on_both_sides")
_LARGEST = 2**53  # of a whole number that a float64 holds
# A path from the root down, at least two names deep, where a word begins.
_ABSOLUTE = re.compile(r"(?<![\w./:\\-])(?:/|~/|[A-Za-z]:[\\/])(?:[^\s/\\'\",:;]+[/\\])+")
_WRONG = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, UserError)
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True)
class Bundled:
    """A run as a file of a sweep holds it.

    Attributes:
        files: its artifacts, below `runs/N` for the Nth run.
    """

    files: Files
    run: Copy


def export(file: Path, sources: Iterable[tuple[Store, RunRecord]]) -> int:
    """Write finished runs into a file, which appears when it is whole and was read back; how many.

    A run that no other store would import is exported with a warning.

    Raises:
        UserError: the file cannot be written, or the artifacts of a run are lost.
    """
    runs = {run.run_id: (store, run) for store, run in sources}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as folder:
            draft = Path(folder) / "draft.zip"
            with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
                bundled = [_exported(archive, f"runs/{i}", *source) for i, source in enumerate(runs.values())]
                content = {"format": _FORMAT, "runs": [asdict(one) for one in bundled]}
                _add(archive, _LIST, json.dumps(content, ensure_ascii=False, indent=1).encode())
            with _unpacked(draft, str(file)) as found:
                for one, place in found:
                    _warn_of_refusal(one, place)
            draft.replace(file)
    except OSError as error:
        raise UserError(f"file={file}: cannot be written ({error.strerror})") from error
    return len(runs)


def import_runs(file: Path, ledger: Ledger) -> tuple[int, int]:
    """Read a file's runs into a store, each identity that it lacks; how many were new, and how many known.

    Everything is checked before the first run is written.

    Raises:
        UserError: the file is not there, damaged, hostile, or none that `export` wrote.
    """
    if not file.is_file():
        raise UserError(f"file={file}: not found; expected a file that action=export wrote")
    with file.open("rb") as stream:
        origin = hashlib.file_digest(stream, "sha256").hexdigest()[:16]
    with _unpacked(file, str(file)) as runs:
        try:
            for one, place in runs:
                _check_run(one, place)
        except _WRONG as error:
            raise _refused(str(file), error) from error
        copies = [(replace(one.run, tags={**one.run.tags, "imported": origin}), place) for one, place in runs]
        new = sum(_brought(ledger, copy, place) for copy, place in copies)
    return new, len(copies) - new


def _exported(archive: zipfile.ZipFile, folder: str, store: Store, run: RunRecord) -> Bundled:
    clean = _Cleaner(run.params)
    copy, files = Copy.of(store, run.run_id), {}
    with artifacts(store, run) as place:
        for name in sorted(run.files):
            content = (place / name).read_bytes()
            if PurePosixPath(name).suffix in _TEXTS:
                content = clean(content.decode("utf8")).encode()
            files[name] = (len(content), hashlib.sha256(content).hexdigest()[:32])
            _add(archive, f"{folder}/{name}", content)
    params = {key: clean(value) for key, value in copy.params.items() if not key.startswith("paths.")}
    tags = {key: clean(value) for key, value in copy.tags.items()}
    return Bundled(files, replace(copy, params=params, tags={**tags, ARTIFACTS: files_tag(files)}))


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)


class _Cleaner:
    """Cuts paths of this machine down to their last name, and hides passwords."""

    def __init__(self, params: Mapping[str, str]) -> None:
        """Knows the folders that a run names, which may hold blanks; any other is known by its looks."""
        named = [Path(value) for value in params.values() if Path(value).is_absolute()] + [Path.home()]
        around = {str(folder) for path in named for folder in (path, *path.parents) if folder != Path(path.anchor)}
        self._folders = sorted(around, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        text = redact(text)
        for folder in self._folders:
            # "x/tmp/y" does not begin at /tmp, and "/tmpfs" is not below it
            whole = rf"(?<![\w./-]){re.escape(folder)}(?:(/)|(?![\w-]))"
            text = re.sub(whole, partial(_last, Path(folder).name), text)
        return _ABSOLUTE.sub("", text)


def _last(name: str, found: re.Match[str]) -> str:
    return "" if found[1] else name


@contextmanager
def _unpacked(path: Path, shown: str) -> Iterator[list[tuple[Bundled, Path]]]:
    """The runs of a file, each with the folder of its artifacts, all there and whole; the folders go with the block.

    Args:
        shown: the file's name, for messages.

    Raises:
        UserError: it is not what `export` writes, for the reason given.
    """
    with tempfile.TemporaryDirectory() as name:
        inside = unpack(path, Path(name) / "sweep")
        try:
            bundled = _listed(inside / _LIST)
            runs = [(one, inside / f"runs/{number}") for number, one in enumerate(bundled)]
            for one, place in runs:
                _check_artifacts(one, place)
        except _WRONG as error:
            raise _refused(shown, error) from error
        yield runs


def _refused(file: str, error: Exception) -> UserError:
    told = (str(error) or type(error).__name__).splitlines()[0]
    return UserError(f"file={file}: no sweep that action=export wrote ({told})")


def _warn_of_refusal(one: Bundled, folder: Path) -> None:
    try:
        _check_run(one, folder)
    except _WRONG as error:
        log.warning("other stores will refuse a run: %s", (str(error) or type(error).__name__).splitlines()[0])


def _listed(path: Path) -> list[Bundled]:
    """The runs that a file lists, of the types that they must have."""
    from pydantic import TypeAdapter

    if path.stat().st_size > _LONGEST_LIST:
        raise ValueError(f"its list has {path.stat().st_size} bytes, more than {_LONGEST_LIST}")
    content = json.loads(path.read_bytes())
    if content["format"] != _FORMAT:
        raise ValueError(f"its format is {content['format']!r}, this program reads {_FORMAT}")
    bundled = TypeAdapter(list[Bundled]).validate_python(content["runs"])
    twice = [key for key, n in Counter(one.run.tags.get("identity") for one in bundled).items() if n > 1]
    if twice:
        raise ValueError(f"it holds the run of identity {twice[0]} twice")
    listed = {f"runs/{i}/{name}" for i, one in enumerate(bundled) for name in one.files}
    others = {f.relative_to(path.parent).as_posix() for f in path.parent.rglob("*") if f.is_file()} - listed - {_LIST}
    if others:
        raise ValueError(f"it holds {min(others)}, which it does not list")
    return [replace(one, run=one.run.without_owner()) for one in bundled]


def _check_artifacts(one: Bundled, folder: Path) -> None:
    """Artifacts are there, as listed, and of kinds that a run has."""
    name = one.run.name
    for file in one.files:
        parts = PurePosixPath(file).parts
        plain = posixpath.normpath(file) == file and not set(parts) & {"/", ".."} and "\\" not in file
        if not plain or printable(file) != file or len(file) > 250 or PurePosixPath(file).suffix not in _KINDS:
            raise ValueError(f"run {name!r}: its artifact {file!r} is none that a run has")
    wrong = differences(one.files, files_in(folder))
    if wrong or recorded_files(one.run.tags) != one.files:
        raise ValueError(f"run {name!r}: its artifacts are not whole ({wrong[0] if wrong else 'its tag lists others'})")


def _check_run(one: Bundled, folder: Path) -> None:
    """Tags, params and metrics are those of a result, and say what the artifacts say."""
    run = one.run
    for file in _REQUIRED:
        if file not in one.files:
            raise ValueError(f"run {run.name!r}: it has no artifact {file}")
    _check_text("name of a run", run.name, 250)
    if not 0 < run.started <= run.ended < _LARGEST:
        raise ValueError(f"run {run.name!r}: it lasted from {run.started} to {run.ended}")
    for kind, values in (("tag", run.tags), ("param", run.params)):
        for key, value in values.items():
            _check_key(kind, key)
            _check_text(f"{kind} {key!r} of run {run.name!r}", value, _LONGEST_VALUE[kind])
    for tag in (*CELL, *_TAGS):
        value = run.tags.get(tag, "")
        if not value or len(value.splitlines()) > 1 or not _TAGS.get(tag, _ANY).fullmatch(value):
            raise ValueError(f"run {run.name!r}: its tag {tag!r} is {value!r}" if value else f"it has no tag {tag!r}")
    if not run.params.get("backbone._target_", "").startswith("src."):
        raise ValueError(f"run {run.name!r}: it has no backbone")
    last: dict[str, tuple[int, float]] = {}
    for key, number, time, step in run.metrics:
        _check_key("metric", key)
        measured = float(number)
        if not _is_possible(key, measured) or not (0 <= time < _LARGEST and 0 <= step < _LARGEST):
            raise ValueError(f"run {run.name!r}: its metric {key} is {number} (step {step}, time {time})")
        last[key] = max(last.get(key, (step, measured)), (step, measured))
    for key in ("test/accuracy", "clips/test"):
        if key not in last:
            raise ValueError(f"run {run.name!r}: it has no metric {key}")
    _check_contents(run, folder, last["test/accuracy"][1], last["clips/test"][1])


def _check_contents(run: Copy, folder: Path, accuracy: float, clips: float) -> None:
    """The artifacts can be read, and the accuracy is that of the predictions."""
    said = read_predictions((folder / PREDICTIONS).read_bytes(), run.name)
    tested = said.where("test")
    right = sum(said.labels[i] == said.predicted[i] for i in tested)
    if len(tested) != clips or not tested.size or abs(right / len(tested) - accuracy) > 1e-6:
        raise ValueError(
            f"run {run.name!r}: its accuracy is {accuracy:g} on {clips:g} clips, but {PREDICTIONS} has {right} right "
            f"of {len(tested)}"
        )
    parts = Parts.read(lambda name: (folder / name).read_bytes())
    if parts.card.classes != said.classes:
        raise ValueError(f"run {run.name!r}: {CARD} and {PREDICTIONS} name different classes")
    for settings in (parts.settings, parts.card.backbone):
        foreign = [target for target in _targets(settings) if not str(target).startswith("src.")]
        if foreign:
            raise ValueError(f"run {run.name!r}: its settings name {foreign[0]!r}, which is none of this program's")


def _check_key(kind: str, key: str) -> None:
    if not _NAME.fullmatch(key) or posixpath.normpath(key) != key or key.startswith(("/", "..")) or key == ".":
        raise ValueError(f"a {kind} is called {key!r}")


def _check_text(what: str, text: str, longest: int) -> None:
    if printable_lines(text) != text or len(text) > longest:
        raise ValueError(f"the {what} holds control characters, or more than {longest} letters: {text[:80]!r}")


def _is_possible(key: str, value: float) -> bool:
    if not math.isfinite(value):
        return False
    if _SHARE.fullmatch(key):
        return 0 <= value <= 1
    if _COUNT.fullmatch(key):
        return value >= 0 and value == int(value)
    return value >= 0 or not key.startswith("seconds/")


def _targets(settings: object) -> Iterator[object]:
    """Every `_target_` in nested settings: the classes that they would build."""
    if isinstance(settings, Mapping):
        yield from (value for key, value in settings.items() if key == "_target_")
        settings = list(settings.values())
    for value in settings if isinstance(settings, list) else ():
        yield from _targets(value)


def _brought(ledger: Ledger, copy: Copy, place: Path) -> bool:
    """Write one run unless its identity is known; whether it was new."""
    identity = copy.tags["identity"]
    with ledger.index.held(identity, "another process is at this run; waiting for it"):
        if look_up(ledger.store, ledger.index, identity)[1] is not None:
            return False
        ledger.write(identity, copy, place)
    return True
