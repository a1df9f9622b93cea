"""Where a dataset comes from: the person's recordings, a publication, or a rendered stand-in."""

import logging
import os
import re
import shlex
from collections.abc import Callable
from pathlib import Path

from src.data import dataset as datasets
from src.data import folder, manifest
from src.data.audio import EXTENSIONS
from src.data.clip import Dataset
from src.data.dataset import DatasetSettings
from src.errors import UserError, printable

log = logging.getLogger(__name__)
_SHOWN = 6
Progress = Callable[[int, int], None]


def published_folder(data: Path, base: str) -> Path:
    """Where a downloaded dataset lies, apart from the person's own recordings."""
    return data / ".published" / base


def rendered_folder(data: Path, settings: DatasetSettings) -> Path:
    """Where a stand-in of this dataset, size and seed lies."""
    base = settings.base or settings.title
    return data / ".rendered" / f"{base}-{settings.clips_per_class}-seed{settings.render_seed}"


def serving(settings: DatasetSettings, data: Path) -> str:
    """The source that serves a dataset on this machine; no file is read but a manifest.

    Args:
        data: folder of all datasets.

    Returns:
        `recordings`, `published` or `rendered`.

    Raises:
        UserError: two folders for one class.
    """
    if settings.source != "auto":
        return settings.source
    if settings.table is not None or folder.class_folders(Path(settings.root), settings.classes):
        return "recordings"
    published = manifest.read(published_folder(data, settings.base or settings.title)) is not None
    return "published" if published else "rendered"


def load_dataset(settings: DatasetSettings, data: Path, *, workers: int, progress: Progress | None = None) -> Dataset:
    """The dataset as it is on this machine; a stand-in is rendered on the spot where nothing else is there.

    Args:
        data: folder of all datasets. workers: processes to render with. progress: told (clips done, clips in all).

    Raises:
        UserError: the source asked for is not there and cannot be made.
    """
    tries = ("recordings", "published", "rendered") if settings.source == "auto" else (settings.source,)
    for source in tries:
        found = _from(source, settings, data, workers, progress)
        if found is not None:
            return found
        if source == "recordings":
            check_root(settings, data)
    where = Path(settings.root)
    name = settings.title
    fetch = f"python -m src.prepare dataset={name} dataset.source=published"
    if settings.source == "published":
        raise UserError(f"{name}: not downloaded yet; run: {fetch}")
    if settings.source == "rendered":
        from src.data import render

        name, known = settings.base or settings.title, ", ".join(render.names())
        raise UserError(f"dataset.source=rendered: {name} has no stand-in; those that have one: {known}")
    raise UserError(
        f"{printable(where)}: {'no class folders' if where.is_dir() else 'no such folder'}; expected "
        f"{printable(where)}/<class>/<audio files>"
        + (f" for each of {', '.join(settings.classes)}" if settings.classes else " with two or more classes")
        + (f"; or fetch the published set: {fetch}" if settings.source == "auto" and _is_published(settings) else "")
    )


def _is_published(settings: DatasetSettings) -> bool:
    from src.data import published  # here: downloads take libraries that nothing else needs

    return (settings.base or settings.title) in published.NAMES


def check_root(settings: DatasetSettings, data: Path) -> None:
    """Refuse a root that was meant to be used but holds none of the dataset's classes; else another set would be used.

    That is a root that was set, and one with recordings of other classes.

    Args:
        data: folder of all datasets.

    Raises:
        UserError: with the command for classes of one's own.
    """
    if settings.classes is None:
        return
    root, usual = Path(settings.root), data / (settings.base or settings.title)
    is_set = root.resolve() != usual.resolve()
    there = [path for path in folder.class_folders(root, None).values() if is_set or _holds_audio(path)]
    if not is_set and not there:
        return
    shown, classes = printable(root), ", ".join(settings.classes)
    problem = (
        f"{shown}: {'no class folders' if root.is_dir() else 'no such folder'}; expected one for each of {classes}"
    )
    if there:
        names = ", ".join(printable(path.name) for path in there[:_SHOWN]) + ", ..." * (len(there) > _SHOWN)
        problem = f"{shown} holds the folders {names}, but none for its classes {classes}"
    word = f"dataset.root={shown}"
    if not re.fullmatch(r"[\w./~-]+", shown, re.ASCII):  # quotes for Hydra within those for the shell
        word = shlex.quote("dataset.root='" + shown.replace("'", "\\'") + "'")
    raise UserError(
        f"dataset={settings.title}: {problem}. For classes of your own:\n"
        f"  python -m src.train dataset=folder {word}\n"
        f"For {settings.title} from another source: "
        + ("leave dataset.root out" if is_set else "dataset.source=published or dataset.source=rendered")
    )


def _holds_audio(path: Path) -> bool:
    return any(Path(name).suffix.lower() in EXTENSIONS for _, _, names in os.walk(path) for name in names)


def present(settings: DatasetSettings, data: Path) -> Dataset | None:
    """As `load_dataset`, but nothing is made: None where no source is there yet."""
    tries = ("recordings", "published", "rendered") if settings.source == "auto" else (settings.source,)
    for source in tries:
        where = rendered_folder(data, settings) if source == "rendered" else None
        found = _from(source, settings, data, 1, None) if where is None else datasets.prepared(settings, where)
        if found is not None:
            return found
    return None


def _from(
    source: str, settings: DatasetSettings, data: Path, workers: int, progress: Progress | None
) -> Dataset | None:
    if source == "recordings":
        return datasets.recordings(settings)
    if source == "files":
        return datasets.files(settings)
    if source == "published":
        return datasets.prepared(settings, published_folder(data, settings.base or settings.title))
    return _rendered(settings, data, workers, progress)


def _rendered(settings: DatasetSettings, data: Path, workers: int, progress: Progress | None) -> Dataset | None:
    from src.data import render

    base = settings.base or settings.title
    if base not in render.names():
        return None
    where = rendered_folder(data, settings)
    ready = datasets.prepared(settings, where)
    if ready is None:
        count = None if settings.clips_per_class == "full" else settings.clips_per_class
        log.warning(
            "%s: no recordings in %s, rendering a stand-in in %s; its numbers say 'rendered' and are no reproduction",
            settings.title, settings.root, where,
        )  # fmt: skip
        render.render(
            base, where, clips_per_class=count, seed=settings.render_seed, sound_font=None, workers=workers,
            progress=progress,
        )  # fmt: skip
        ready = datasets.prepared(settings, where)
    return ready
