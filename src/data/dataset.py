"""From a dataset's settings to its labelled clips, whichever source they come from."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

from src.data import folder, manifest
from src.data.audio import EXTENSIONS, MONO, Window
from src.data.clip import Clip, Dataset, Origin
from src.errors import UserError

SOURCES = ("auto", "recordings", "published", "rendered")


@dataclass(frozen=True)
class DatasetSettings:
    """What `dataset=NAME` means.

    Attributes:
        name: shown in tables; None: the root folder's name.
        base: the dataset whose audio and split are used; None: its own name.
        root: folder of `<class>/<audio files>`.
        classes: label to its other names; None: every folder below root is a class.
        keep: the labels that take part; None: all.
        label: `class`, `loudness` (equal classes by RMS, quietest first), or a key of `relabel`.
        relabel: by label name, new class to the old classes it takes in.
        loudness_classes: how many equal classes `label=loudness` makes.
        source: `recordings`, `published`, `rendered`, or `auto`: the first of these that is there.
        start, duration: the clip within each file in seconds (duration None: to the end).
        sample_rate: resample to this rate; None: keep each file's own.
        mono: `mean` of the channels or `left`, for pictures.
        on_error: `fail` names every unusable file and stops; `skip` leaves them out and records which.
        group_pattern: regular expression on `class/file` whose first group names the recording.
        clips_per_class: size of a rendered stand-in, or `full` for the paper's cardinalities.
        render_seed: of a rendered stand-in.
    """

    name: str | None
    base: str | None
    root: str
    classes: dict[str, list[str]] | None
    keep: list[str] | None
    label: str
    relabel: dict[str, dict[str, list[str]]]
    loudness_classes: int
    source: str
    start: float
    duration: float | None
    sample_rate: int | None
    mono: Literal["mean", "left"]
    on_error: Literal["fail", "skip"]
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
        if self.loudness_classes < 2:
            raise UserError(f"dataset.loudness_classes: got {self.loudness_classes}; expected 2 or more")

    @property
    def window(self) -> Window:
        """The clip within each file."""
        return Window(self.start, self.duration, self.sample_rate)

    @property
    def title(self) -> str:
        """The dataset's name in tables, tags and paths."""
        return self.name or folder.slug(Path(self.root).resolve().name)


def recordings(settings: DatasetSettings) -> Dataset | None:
    """The person's own recordings below `root`, or None where no class folder is there.

    Raises:
        UserError: some but not all classes are there, one class only, an empty class, or ambiguous folders.
    """
    root = Path(settings.root)
    folders = folder.class_folders(root, settings.classes)
    if not folders:
        return None
    labels = tuple(settings.classes) if settings.classes else tuple(sorted(folders))
    if settings.keep and settings.label == "class":
        labels = tuple(label for label in labels if label in settings.keep)
    missing = [label for label in labels if label not in folders]
    if missing:
        raise UserError(
            f"{root}: no folder for {', '.join(missing)}; expected {root}/<class>/<audio files> for each of "
            f"{', '.join(labels)}. Add the recordings, or leave classes out: 'dataset.keep=[{','.join(folders)}]'"
        )
    clips: list[Clip] = []
    others: list[Path] = []
    for label in labels:
        found, unheard = folder.scan(folders[label], label, settings.group_pattern)
        if not found:
            raise UserError(f"{folders[label]}: no audio files; expected {', '.join(EXTENSIONS)}")
        clips += found
        others += unheard
    notes = (f"passed over {len(others)} files that are no audio, e.g. {others[0].name}",) if others else ()
    return _checked(settings, root, clips, labels, "recorded", f"recordings in {root}", notes)


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
            f"{root}: found {len(labels)} class ({', '.join(labels)}); a classifier needs two or more. "
            f"Expected {root}/<class>/<audio files>"
        )
    unknown = sorted({clip.label for clip in clips} - set(labels))
    if unknown:
        raise UserError(
            f"{root}: lists clips of {', '.join(unknown)}; dataset.classes has {', '.join(labels)}. Prepare it again"
        )
    ordered = tuple(sorted(clips, key=lambda clip: (labels.index(clip.label), clip.name, clip.path.suffix)))
    for one, other in pairwise(ordered):
        if one.id == other.id:
            raise UserError(f"{root}: two files are the clip {one.id} ({one.path}, {other.path}); rename one of them")
    base = settings.base or settings.title
    return Dataset(settings.title, base, root, labels, ordered, origin, provenance, notes)


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


def kept(dataset: Dataset, labels: Sequence[str] | None) -> Dataset:
    """Only the classes named; None: all.

    Raises:
        UserError: a name that is no class, or fewer than two.
    """
    if labels is None:
        return dataset
    unknown = [label for label in labels if label not in dataset.classes]
    if unknown or len(set(labels)) < 2:
        raise UserError(f"dataset.keep: got {list(labels)}; expected two or more of {', '.join(dataset.classes)}")
    classes = tuple(label for label in dataset.classes if label in labels)
    return replace(dataset, classes=classes, clips=tuple(clip for clip in dataset.clips if clip.label in classes))


def _with_labels(dataset: Dataset, labels: Sequence[str], classes: tuple[str, ...]) -> Dataset:
    clips = [replace(clip, label=label) for clip, label in zip(dataset.clips, labels, strict=True)]
    ordered = sorted(clips, key=lambda clip: (classes.index(clip.label), clip.name, clip.path.suffix))
    return replace(dataset, classes=classes, clips=tuple(ordered))
