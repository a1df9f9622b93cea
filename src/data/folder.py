"""A folder of `<class>/<audio files>`: its classes and clips, before any file is opened."""

import os
import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from src.data.audio import EXTENSIONS
from src.data.clip import Clip
from src.errors import UserError


def slug(name: str) -> str:
    """Lower-case label of a class folder in any alphabet: `Viennese Waltz` becomes `viennese_waltz`."""
    text = unicodedata.normalize("NFC", name).casefold()
    return re.sub(r"[^\w]+", "_", text).strip("_") or "_"


def class_folders(root: Path, classes: Mapping[str, Sequence[str]] | None) -> dict[str, Path]:
    """Folder of each class that is there, by label.

    Args:
        root: the dataset's folder.
        classes: label to its other names; None: every visible folder below root is a class.

    Raises:
        UserError: two folders name the same class.
    """
    if not root.is_dir():
        return {}
    wanted = None
    if classes is not None:
        wanted = {slug(alias): label for label, others in classes.items() for alias in (label, *others)}
    found: dict[str, Path] = {}
    for folder in sorted(root.iterdir()):
        if not folder.is_dir() or folder.name.startswith("."):
            continue
        label = slug(folder.name) if wanted is None else wanted.get(slug(folder.name))
        if label is None:
            continue
        if label in found:
            raise UserError(
                f"{root}: the folders {found[label].name!r} and {folder.name!r} both mean the class {label!r}; "
                "rename or merge one of them"
            )
        found[label] = folder
    return found


def scan(folder: Path, label: str, group_pattern: str | None) -> tuple[list[Clip], list[Path]]:
    """Clips of one class folder and the files that are no audio by their extension, both sorted.

    Hidden files and folders are passed over; links are followed, each real folder once.

    Raises:
        UserError: a path does not match `dataset.group_pattern`.
    """
    clips, others = [], []
    heading = unicodedata.normalize("NFC", folder.name)
    for path in sorted(files(folder)):
        if path.suffix.lower() not in EXTENSIONS:
            others.append(path)
            continue
        inside = unicodedata.normalize("NFC", path.relative_to(folder).as_posix())
        name = f"{label}/{inside[: -len(path.suffix)]}"
        clips.append(Clip(path, label, name, _group(f"{heading}/{inside}", group_pattern)))
    return clips, others


def files(folder: Path) -> Iterator[Path]:
    """Every file in a folder and below but hidden ones; links are followed, each real folder once."""
    seen = set()
    for here, folders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(here)
        if real in seen:
            folders.clear()
            continue
        seen.add(real)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield from (Path(here, name) for name in names if not name.startswith("."))


def _group(path: str, pattern: str | None) -> str | None:
    if pattern is None:
        return None
    try:
        match = re.search(pattern, path)
        found = None if match is None else match.group(1)
    except (re.error, IndexError) as error:
        raise UserError(
            f"dataset.group_pattern: {pattern!r} is no regular expression with a first group ({error}); "
            "e.g. '/([^_]+_[^_]+)_' takes the first two parts of a file's name"
        ) from error
    if found is None:
        raise UserError(
            f"dataset.group_pattern: {pattern!r} does not match {path!r}; every clip needs a group. "
            "Widen the pattern, or move the file out of the dataset"
        )
    return found
