"""From a dataset's settings to its labelled clips, whichever source they come from."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

from src.data import folder, manifest
from src.data.audio import MONO, Window
from src.data.clip import Clip, Dataset, Origin
from src.data.parts import Part, are_parts, fold_of, part_of
from src.data.table import Role, TableSettings
from src.data.table import read as read_table
from src.data.windows import window_starts
from src.errors import UserError, printable

log = logging.getLogger(__name__)

_WAY_OUT = "Make them readable, or leave them out with dataset.on_unreadable=skip"
SOURCES = ("auto", "recordings", "published", "rendered", "files")


@dataclass(frozen=True)
class DatasetSettings:
    """What `dataset=NAME` means.

    Attributes:
        name: shown in tables; None: the root folder's name.
        base: the dataset whose audio and split are used; None: its own name.
        root: folder of `<class>/<audio files>`; of a table, the folder that its file names are relative to.
        layout: `classes`: a folder for each class below root; `parts`: below root a folder for each part (train,
            validation, test) or fold (fold1, fold2 ...), and in each one for each class.
        lists: part to a text file, relative to root, that names its files, one a line, relative to root; files on no
            list train.
        table: path of a table of clips; None: there is none. columns, where: see `data.table.TableSettings`.
        classes: label to its other names; None: every folder below root is a class.
        include_classes: the labels that take part; None: all.
        label: `class`, `loudness` (equal classes by RMS, quietest first), or a key of `relabel`.
        relabel: by label name, new class to the old classes it takes in.
        loudness_classes: how many equal classes `label=loudness` makes.
        source: `recordings`, `published`, `rendered`, or `auto`: the first of these that is there; `files`: every audio
            file below root, without labels.
        start, duration: the clip within each file in seconds (duration None: to the end).
        window, hop: each clip is cut into windows of this length, this far apart, in seconds; None: it is not, and
            windows follow each other.
        sample_rate: resample to this rate; None: keep each file's own.
        mono: `mean` of the channels or `left`, for pictures.
        on_unreadable: `fail` names every unusable file and stops; `skip` leaves them out and records which.
        group_pattern: regular expression on `class/file` whose first group names the recording.
        clips_per_class: size of a rendered stand-in, or `full` for the paper's cardinalities.
        render_seed: of a rendered stand-in.
    """

    name: str | None
    base: str | None
    root: str
    layout: Literal["classes", "parts"]
    lists: dict[Part, str | None]
    table: str | None
    columns: dict[Role, str | list[str] | None]
    where: dict[str, str | int | float | list[str | int | float]]
    classes: dict[str, list[str]] | None
    include_classes: list[str] | None
    label: str
    relabel: dict[str, dict[str, list[str]]]
    loudness_classes: int
    source: str
    start: float
    duration: float | None
    window: float | None
    hop: float | None
    sample_rate: int | None
    mono: Literal["mean", "left"]
    on_unreadable: Literal["fail", "skip"]
    group_pattern: str | None
    clips_per_class: int | Literal["full"]
    render_seed: int

    def __post_init__(self) -> None:
        if self.source not in SOURCES:
            raise UserError(f"dataset.source: got {self.source!r}; expected one of {', '.join(SOURCES)}")
        if self.mono not in MONO:
            raise UserError(f"dataset.mono: got {self.mono!r}; expected one of {', '.join(MONO)}")
        if self.label not in ("class", "loudness", *self.relabel):
            choices = ", ".join(("class", "loudness", *self.relabel))
            raise UserError(f"dataset.label: got {self.label!r}; expected one of {choices}")
        if self.clips_per_class != "full" and self.clips_per_class < 2:
            raise UserError(f"dataset.clips_per_class: got {self.clips_per_class}; expected 2 or more, or full")
        if self.window is not None and self.window <= 0:
            raise UserError(f"dataset.window: got {self.window}; expected seconds above 0, or null")
        if self.hop is not None and (self.window is None or not self.hop > 0):
            raise UserError(f"dataset.hop={self.hop}: expected seconds above 0 between windows, beside dataset.window")
        if self.table is not None and (any(self.lists.values()) or self.layout != "classes"):
            raise UserError(
                "dataset.table: parts come from its column (dataset.columns.part), not from folders or lists"
            )
        if self.loudness_classes < 2:
            raise UserError(f"dataset.loudness_classes: got {self.loudness_classes}; expected 2 or more")

    @property
    def cut(self) -> Window:
        """The clip within each file."""
        return Window(self.start, self.duration, self.sample_rate)

    @property
    def title(self) -> str:
        """The dataset's name in tables, tags and paths."""
        if self.name is None and self.table is not None:
            return folder.slug(Path(self.table).stem)
        return self.name or folder.slug(Path(self.root).resolve().name)

    def key(self, classes: Sequence[str]) -> dict[str, Any]:
        """What determines the clips' labels, besides their files and names.

        Args:
            classes: those that a classifier tells apart, in the order of its outputs: ties go to the first, and
                batches are drawn class by class.
        """
        key: dict[str, Any] = {"name": self.title, "classes": list(classes), "label": self.label}
        key["on_unreadable"] = self.on_unreadable
        if self.window is not None:
            key |= {"window": self.window, "hop": self.hop or self.window}
        if self.label == "loudness":
            return {**key, "loudness_classes": self.loudness_classes}
        if self.label == "class":
            return key
        return {**key, "relabel": {name: sorted(self.relabel[self.label].get(name, ())) for name in classes}}

    def chosen_classes(self) -> dict[str, Any]:
        """What the settings alone say of the classes: their order, and which of them take part; None: not said."""
        if self.label == "loudness":
            known = [f"loud{i + 1}" for i in range(self.loudness_classes)]
        else:
            known = list((self.classes or ()) if self.label == "class" else self.relabel[self.label])
        included = None if self.include_classes is None else sorted(set(self.include_classes))
        return {"order": known or None, "include_classes": None if included == sorted(set(known)) else included}


def recordings(settings: DatasetSettings) -> Dataset | None:
    """The user's own recordings: of a table, or below `root`; None where no class folder is there.

    Files of formats that are not decoded, and links to what is there already, are reported as warnings.

    Raises:
        UserError: some but not all classes are there, one class only, an empty class, ambiguous folders, folders of
            parts in place of classes, one file in two classes, or (unless `on_unreadable` is `skip`) a folder that
            cannot be listed; of a table, as `table.read`.
    """
    root = Path(settings.root)
    if settings.table is not None:
        return _from_table(settings, Path(settings.table), root if settings.root else Path(settings.table).parent)
    found, listed = _class_folders(settings, root)
    if settings.on_unreadable == "fail" or not found:
        folder.check_readable(listed.unreadable, _WAY_OUT)
    if not found:
        return None
    if settings.layout == "classes" and settings.classes is None and are_parts(found):
        raise UserError(_meant_parts(root, list(found)))
    loose = listed.audio
    labels = tuple(settings.classes) if settings.classes else tuple(sorted(found))
    if settings.include_classes and settings.label == "class":
        labels = tuple(label for label in labels if label in settings.include_classes)
    missing = [label for label in labels if label not in found]
    if missing:
        raise UserError(
            f"{printable(root)}: no folder for {', '.join(missing)}; expected {printable(root)}/<class>/<audio files> "
            f"for each of {', '.join(labels)}. Add the recordings, or leave classes out: "
            f"'dataset.include_classes=[{','.join(found)}]'"
        )
    clips, empty = _scanned(settings, found, labels, listed)
    if settings.on_unreadable == "fail":
        folder.check_readable(listed.unreadable, _WAY_OUT)
    if empty is not None:
        raise empty
    folder.check_labels({clip.path: clip.label for clip in clips}, listed.real)
    minor, major = folder.notes(listed)
    if loose:
        major.append(f"passed over {len(loose)} audio files that are in no class folder, e.g. {printable(loose[0])}")
    major += [f"left out {printable(path)}: {reason}" for path, reason in sorted(listed.unreadable.items())]
    for note in major:
        log.warning("%s: %s", settings.title, note)
    made_by = f"recordings in {printable(root)}"
    if any(settings.lists.values()):
        clips = _listed_parts(settings, root, clips)
    return _checked(settings, root, clips, labels, "recorded", made_by, (*minor, *major))


def files(settings: DatasetSettings) -> Dataset | None:
    """Every audio file below `root`, without labels, or None where there is no such folder.

    Raises:
        UserError: no audio in it, or (unless `on_unreadable` is `skip`) a folder that cannot be listed.
    """
    root = Path(settings.root)
    if not root.is_dir():
        return None
    listed = folder.listing(root)
    if settings.on_unreadable == "fail":
        folder.check_readable(listed.unreadable, _WAY_OUT)
    if not listed.audio:
        raise folder.no_audio(f"{printable(root)}: no audio files in it", listed)
    minor, major = folder.notes(listed)
    for note in major:
        log.warning("%s: %s", settings.title, note)
    clips = [Clip(path, "", printable(path.relative_to(root).with_suffix("").as_posix())) for path in listed.audio]
    made_by = f"recordings in {printable(root)}"
    return Dataset(settings.title, settings.title, root, (), tuple(clips), "recorded", made_by, (*minor, *major))


def _class_folders(
    settings: DatasetSettings, root: Path
) -> "tuple[dict[str, list[tuple[_Top, Path]]], folder.Listing]":
    """Folders of each class, by label, and what else lies beside them."""
    listed = folder.Listing()
    found: dict[str, list[tuple[_Top, Path]]] = {}
    for top in _tops(settings, root):
        folders, here = folder.list_root(top.path, settings.classes)
        listed.add(here)
        for label, path in folders.items():
            found.setdefault(label, []).append((top, path))
    return found, listed


def _scanned(
    settings: DatasetSettings,
    found: "Mapping[str, Sequence[tuple[_Top, Path]]]",
    labels: Sequence[str],
    listed: folder.Listing,
) -> tuple[list[Clip], UserError | None]:
    """Clips of the classes, and the error of the first folder without any; what lies in them is added to `listed`."""
    clips: list[Clip] = []
    empty: UserError | None = None
    for label in labels:
        for top, path in found[label]:
            of_class, inside = folder.scan(path, label, settings.group_pattern)
            if not of_class:
                empty = empty or folder.no_audio(f"{printable(path)}: no audio files", inside)
            clips += [top.placed(clip) for clip in of_class]
            listed.add(inside)
    return clips, empty


@dataclass(frozen=True)
class _Top:
    """A folder of class folders: the dataset's own, or that of one part or fold."""

    path: Path
    part: Part | None = None
    fold: str | None = None

    def placed(self, clip: Clip) -> Clip:
        """The clip with its part or fold, and a name that no clip of another one has."""
        if self.part is None and self.fold is None:
            return clip
        inside = clip.name.removeprefix(f"{clip.label}/")
        name = f"{clip.label}/{folder.text_of(self.path.name)}/{inside}"
        return replace(clip, name=name, part=self.part, fold=self.fold)


def _tops(settings: DatasetSettings, root: Path) -> list[_Top]:
    if settings.layout == "classes":
        return [_Top(root)]
    try:
        names = sorted(path.name for path in root.iterdir() if path.is_dir() and not folder.is_ignored(path.name))
    except OSError as error:
        raise UserError(f"{printable(root)}: cannot be listed ({error.strerror})") from error
    parts, folds = part_of(names), {name: fold_of(name) for name in names}
    tops = [_Top(root / name, parts[name], folds[name]) for name in names if parts[name] or folds[name]]
    if len(tops) < 2 or len({top.fold is None for top in tops}) != 1:
        raise UserError(
            f"{printable(root)}: found the folders {', '.join(map(printable, names)) or 'none'}; dataset.layout=parts "
            "expects train, validation (or none) and test, or fold1, fold2 and so on, each with a folder for each class"
        )
    return tops


def _meant_parts(root: Path, names: Sequence[str]) -> str:
    split = "folds" if fold_of(names[0]) else "given"
    return (
        f"{printable(root)}: its folders {', '.join(sorted(names))} are parts of a split, not classes. For that:\n"
        f"  python -m src.train dataset=parts dataset.root={printable(root)} split={split}\n"
        f"If they are classes, name them: 'dataset.classes={{{','.join(f'{name}:[]' for name in sorted(names))}}}'"
    )


def _listed_parts(settings: DatasetSettings, root: Path, clips: Sequence[Clip]) -> list[Clip]:
    """Clips with the parts that lists of files name."""
    parts: dict[Path, Part] = {}
    known = {clip.path for clip in clips}
    for part, name in settings.lists.items():
        if name is None:
            continue
        try:
            lines = (root / name).read_text("utf-8-sig").splitlines()
        except (OSError, ValueError) as error:
            raise UserError(
                f"dataset.lists.{part}={name}: {printable(root / name)} cannot be read ({error})"
            ) from error
        paths = [root / line.strip() for line in lines if line.strip() and not line.startswith("#")]
        strangers = [path for path in paths if path not in known]
        if strangers and settings.include_classes is None and settings.classes is None:
            raise UserError(
                f"{printable(root / name)}: {len(strangers)} of {len(paths)} names are no clips of {settings.title}, "
                f"e.g. {printable(strangers[0])}; expected paths relative to {printable(root)}"
            )
        twice = [path for path in paths if parts.get(path, part) != part]
        if twice:
            raise UserError(f"dataset.lists: {printable(twice[0])} is on the lists of {parts[twice[0]]} and {part}")
        parts |= dict.fromkeys(paths, part)
    if settings.lists.get("train"):
        clips = [clip for clip in clips if clip.path in parts]
    return [replace(clip, part=parts.get(clip.path, "train")) for clip in clips]


def _from_table(settings: DatasetSettings, path: Path, root: Path) -> Dataset:
    clips, notes = read_table(
        TableSettings(
            path, root, settings.columns, settings.where, settings.classes, skip=settings.on_unreadable == "skip"
        )
    )
    cut = (settings.start, settings.duration) != (0.0, None)
    if cut and any(clip.excerpt is not None for clip in clips):
        raise UserError(
            "dataset.start, dataset.duration: the table says where each clip starts and ends; leave them out"
        )
    if settings.group_pattern is not None:
        raise UserError("dataset.group_pattern: the groups of a table are in a column; set dataset.columns.group=NAME")
    there = {clip.label for clip in clips}
    labels = tuple(label for label in settings.classes or sorted(there) if label in there)
    made_by = f"recordings listed in {printable(path)}"
    return _checked(settings, root, clips, labels, "recorded", made_by, tuple(notes))


def windowed(settings: DatasetSettings, dataset: Dataset, seconds: Callable[[Path], float | None]) -> Dataset:
    """Each clip cut into windows that inherit its label, group, part and fold.

    Windows of a file share a group, so that a file is never on both sides of a split that knows groups. A rest of half
    a window or more is one more, shorter window; a clip shorter than a window is one.

    Args:
        seconds: duration of a file; None where it cannot be read, which is told when it is decoded.
    """
    if settings.window is None:
        return dataset
    length, hop = settings.window, settings.hop or settings.window
    clips: list[Clip] = []
    for clip in dataset.clips:
        start, end = clip.excerpt or (settings.start, None)
        total = seconds(clip.path)
        if total is None:
            clips.append(clip)
            continue
        if end is None:
            end = total if clip.excerpt or settings.duration is None else min(total, start + settings.duration)
        spans = [(first, min(first + length, end)) for first in window_starts(end, start, length, hop)]
        clips += [
            replace(
                clip,
                excerpt=(round(first, 6), round(last, 6)),
                window_of=clip.id,
                group=clip.group or clip.name,
            )
            for first, last in spans
        ]
    return replace(dataset, clips=tuple(clips))


def prepared(settings: DatasetSettings, where: Path) -> Dataset | None:
    """A dataset prepared in a folder of its own (downloaded or rendered), or None where that is not finished."""
    content = manifest.read(where)
    if content is None:
        return None
    clips = manifest.clips(where, content)
    labels = tuple(settings.classes) if settings.classes else tuple(sorted({clip.label for clip in clips}))
    origin: Origin = "rendered" if content.get("origin") == "rendered" else "recorded"
    notes = tuple(str(note) for note in content.get("notes", ()))
    return _checked(settings, where, clips, labels, origin, str(content.get("provenance", "")), notes)


def _checked(
    settings: DatasetSettings,
    root: Path,
    clips: Sequence[Clip],
    labels: tuple[str, ...],
    origin: Origin,
    provenance: str,
    notes: tuple[str, ...],
) -> Dataset:
    if len(labels) < 2:
        raise UserError(
            f"{printable(root)}: found {len(labels)} class ({', '.join(labels)}); a classifier needs two or more. "
            f"Expected {printable(root)}/<class>/<audio files>"
        )
    unknown = sorted({clip.label for clip in clips} - set(labels))
    if unknown:
        raise UserError(
            f"{printable(root)}: lists clips of {', '.join(unknown)}; dataset.classes has {', '.join(labels)}. "
            "Prepare it again"
        )
    ordered = tuple(sorted(clips, key=_order(labels)))
    for one, other in pairwise(ordered):
        if one.id == other.id:
            paths = f"{printable(one.path)}, {printable(other.path)}"
            raise UserError(f"{printable(root)}: two files are the clip {one.id} ({paths}); rename one of them")
    base = settings.base or settings.title
    return Dataset(settings.title, base, root, labels, ordered, origin, provenance, notes)


def labelled(settings: DatasetSettings, dataset: Dataset, rms: Sequence[float]) -> Dataset:
    """The clips under the labels that the settings ask for.

    Args:
        dataset: as listed. rms: of each clip, as recorded; read for `label=loudness` alone.

    Raises:
        UserError: classes to include or to relabel that the dataset has not.
    """
    if settings.source == "files":
        raise UserError(
            "dataset.source=files: its files have no labels to learn; sort them into <class>/<audio files> and use "
            "dataset=folder"
        )
    if settings.label == "loudness":
        dataset = by_loudness(dataset, rms, settings.loudness_classes)
    elif settings.label != "class":
        dataset = relabelled(dataset, settings.relabel[settings.label])
    return select_classes(dataset, settings.include_classes)


def classes_of(settings: DatasetSettings, dataset: Dataset) -> tuple[str, ...]:
    """The classes that a classifier of a listed dataset tells apart, in the order of its outputs.

    Raises:
        UserError: as `labelled`.
    """
    return labelled(settings, dataset, [0.0] * len(dataset.clips)).classes


def relabelled(dataset: Dataset, groups: dict[str, list[str]]) -> Dataset:
    """The same clips under new classes, each taking in some of the old ones.

    Raises:
        UserError: an old class appears in no new one or in two, or does not exist.
    """
    new = {old: label for label, olds in groups.items() for old in olds}
    listed = Counter(old for olds in groups.values() for old in olds)
    wrong = [old for old in listed if listed[old] > 1 or old not in dataset.classes]
    wrong += [old for old in dataset.classes if old not in listed]
    if wrong:
        raise UserError(
            f"dataset.relabel: {', '.join(sorted(set(wrong)))}: each of the classes {', '.join(dataset.classes)} "
            "must belong to exactly one new class"
        )
    return _with_labels(dataset, [new[clip.label] for clip in dataset.clips], tuple(groups))


def by_loudness(dataset: Dataset, rms: Sequence[float], classes: int) -> Dataset:
    """The same clips in equal classes by RMS loudness, `loud1` the quietest (paper, section 6).

    Args:
        rms: of each clip, unprocessed, full scale 1. Equal values are ordered by the clip's name.
    """
    order = sorted(range(len(rms)), key=lambda i: (rms[i], dataset.clips[i].name))
    labels = [""] * len(rms)
    for rank, i in enumerate(order):
        labels[i] = f"loud{1 + rank * classes // len(rms)}"
    return _with_labels(dataset, labels, tuple(f"loud{i + 1}" for i in range(classes)))


def select_classes(dataset: Dataset, labels: Sequence[str] | None) -> Dataset:
    """Only the classes named; None: all.

    Raises:
        UserError: a name that is no class, or fewer than two.
    """
    if labels is None:
        return dataset
    unknown = [label for label in labels if label not in dataset.classes]
    if unknown or len(set(labels)) < 2:
        raise UserError(
            f"dataset.include_classes: got {list(labels)}; expected two or more of {', '.join(dataset.classes)}"
        )
    classes = tuple(label for label in dataset.classes if label in labels)
    return replace(dataset, classes=classes, clips=tuple(clip for clip in dataset.clips if clip.label in classes))


def _with_labels(dataset: Dataset, labels: Sequence[str], classes: tuple[str, ...]) -> Dataset:
    clips = [replace(clip, label=label) for clip, label in zip(dataset.clips, labels, strict=True)]
    ordered = sorted(clips, key=_order(classes))
    return replace(dataset, classes=classes, clips=tuple(ordered))


def _order(classes: Sequence[str]) -> Callable[[Clip], tuple[int, str, str, float]]:
    position = {label: number for number, label in enumerate(classes)}
    return lambda clip: (
        position[clip.label],
        clip.name,
        clip.path.suffix,
        0.0 if clip.excerpt is None else clip.excerpt[0],
    )
