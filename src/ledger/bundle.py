"""A sweep in one file, to be read into another store: values as JSON, artifacts as they are, no machine's paths."""

import hashlib
import json
import logging
import re
import tempfile
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from src.data.unpack import unpack
from src.errors import UserError
from src.ledger.book import look_up
from src.ledger.copying import Copy, artifacts
from src.ledger.ledger import Ledger
from src.tracking import RunRecord, Store

log = logging.getLogger(__name__)

_FORMAT = 1
_LIST = "sweep.json"
_TEXTS = (".yaml", ".json")
_IDENTITY = re.compile(r"[0-9a-f]{32}")
# A path from the root down, at least two names deep, where a word begins.
_ABSOLUTE = re.compile(r"(?<![\w./:\\-])(?:/|~/|[A-Za-z]:[\\/])(?:[^\s/\\'\",:;]+[/\\])+")
_EPOCH = (1980, 1, 1, 0, 0, 0)


def export(file: Path, sources: Iterable[tuple[Store, RunRecord]]) -> int:
    """Write finished runs into a file, which appears when it is whole; how many.

    Raises:
        UserError: the file cannot be written.
    """
    listed: list[dict[str, Any]] = []
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=f".{file.name}.") as folder:
            draft = Path(folder) / "draft"
            with zipfile.ZipFile(draft, "w", zipfile.ZIP_DEFLATED) as archive:
                for store, run in sources:
                    listed.append(_exported(archive, f"runs/{len(listed)}", store, run))
                content = {"format": _FORMAT, "runs": listed}
                _add(archive, _LIST, json.dumps(content, ensure_ascii=False, indent=1).encode())
            draft.replace(file)
    except OSError as error:
        raise UserError(f"file={file}: cannot be written ({error.strerror})") from error
    return len(listed)


def bring_in(file: Path, ledger: Ledger) -> tuple[int, int]:
    """Read a file's runs into a store, each identity that it lacks; how many were new, and how many known.

    Raises:
        UserError: the file is not there, damaged, hostile, or none that `export` wrote.
    """
    if not file.is_file():
        raise UserError(f"file={file}: not found; expected a file that action=export wrote")
    with file.open("rb") as stream:
        origin = hashlib.file_digest(stream, "sha256").hexdigest()[:16]
    with tempfile.TemporaryDirectory() as folder:
        inside = unpack(file, Path(folder) / "sweep")
        copies = [(copy, inside / place) for copy, place in _listed(file, inside / _LIST)]
        new = sum(_brought(ledger, replace(c, tags={**c.tags, "imported": origin}), place) for c, place in copies)
    return new, len(copies) - new


def _exported(archive: zipfile.ZipFile, folder: str, store: Store, run: RunRecord) -> dict[str, Any]:
    clean = _Cleaner(run.params)
    copy = Copy.of(store, run.run_id)
    params = {key: clean(value) for key, value in copy.params.items() if not key.startswith("paths.")}
    copy = replace(copy, params=params, tags={key: clean(value) for key, value in copy.tags.items()})
    with artifacts(store, run) as place:
        for path in sorted(path for path in place.rglob("*") if path.is_file()):
            content = path.read_bytes()
            if path.suffix in _TEXTS:
                content = clean(content.decode("utf8")).encode()
            _add(archive, f"{folder}/{path.relative_to(place).as_posix()}", content)
    return {"artifacts": folder, "run": copy.as_json()}


def _add(archive: zipfile.ZipFile, name: str, content: bytes) -> None:
    archive.writestr(zipfile.ZipInfo(name, _EPOCH), content, zipfile.ZIP_DEFLATED)


class _Cleaner:
    """Cuts paths of this machine down to their last name."""

    def __init__(self, params: Mapping[str, str]) -> None:
        """Knows the folders that a run names, which may hold blanks; any other is known by its looks."""
        named = [Path(value) for value in params.values() if Path(value).is_absolute()] + [Path.home()]
        around = {str(folder) for path in named for folder in (path, *path.parents) if folder != Path(path.anchor)}
        self._folders = sorted(around, key=len, reverse=True)

    def __call__(self, text: str) -> str:
        for folder in self._folders:
            # "x/tmp/y" does not begin at /tmp, and "/tmpfs" is not below it
            whole = rf"(?<![\w./-]){re.escape(folder)}(?:(/)|(?![\w-]))"
            text = re.sub(whole, partial(_last, Path(folder).name), text)
        return _ABSOLUTE.sub("", text)


def _last(name: str, found: re.Match[str]) -> str:
    return "" if found[1] else name


def _listed(file: Path, path: Path) -> Sequence[tuple[Copy, Path]]:
    """The runs that a file lists, checked.

    Raises:
        UserError: it is not what `export` writes.
    """
    try:
        content = json.loads(path.read_bytes())
        if content["format"] != _FORMAT:
            raise ValueError(f"its format is {content['format']!r}, this program reads {_FORMAT}")
        found = [(Copy.from_json(entry["run"]), Path(f"runs/{i}")) for i, entry in enumerate(content["runs"])]
        for copy, _ in found:
            _check(copy)
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        told = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"file={file}: no sweep that action=export wrote ({told})") from error
    return found


def _check(copy: Copy) -> None:
    if not _IDENTITY.fullmatch(copy.tags.get("identity", "")):
        raise ValueError(f"run {copy.name!r} has no identity")
    names = {name for name, *_ in copy.metrics}
    if not {"test/accuracy", "clips/test"} <= names:
        raise ValueError(f"run {copy.name!r} has no result")
    for name, value, _, _ in copy.metrics:
        if not name:
            raise ValueError(f"run {copy.name!r} has a metric without a name")
        float(value)


def _brought(ledger: Ledger, copy: Copy, place: Path) -> bool:
    """Write one run unless its identity is known; whether it was new."""
    identity = copy.tags["identity"]
    with ledger.book.held(identity, "another process is at this run; waiting for it"):
        if look_up(ledger.store, ledger.book, identity)[1] is not None:
            return False
        ledger.write(identity, copy, place)
    return True
