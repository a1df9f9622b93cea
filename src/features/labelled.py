"""A dataset ready to learn from: usable clips, each with features, a label and its part of the split."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Int64

from src.data import dataset as datasets
from src.data import sources
from src.data.audio import UnreadableAudio, Window, decode, header
from src.data.clip import Clip, Dataset
from src.data.dataset import DatasetSettings
from src.data.duplicates import SAME_BYTES, two_labels
from src.data.parts import Part
from src.data.split import Split, groups_on_both_sides
from src.errors import UserError, printable
from src.features.digests import FileDigests, read_digests
from src.features.examples import Examples
from src.features.extract import Extraction, extract
from src.features.pipeline import FeaturePipeline
from src.features.render_stats import CONSEQUENCES

log = logging.getLogger(__name__)
Told = Callable[[int, int], None] | None
Progress = Callable[[str], Told]
_ROUNDING = 0.01  # seconds
_COUNTED = ("unusable", "short", *CONSEQUENCES)


@dataclass(frozen=True, eq=False)
class LabelledFeatures:
    """Usable clips in the dataset's order, with what was extracted from each.

    Attributes:
        labels: position of each clip's class in `dataset.classes`.
        notes: what a reader of the result should know: clips left out, silent, black or short ones, leaks.
    """

    dataset: Dataset
    extraction: Extraction
    parts: list[Part]
    labels: Int64[np.ndarray, " clips"]
    notes: dict[str, list[str]]

    def where(self, part: Part) -> Int64[np.ndarray, " chosen"]:
        """Positions of one part's clips."""
        return np.array([i for i, p in enumerate(self.parts) if p == part], dtype=np.int64)

    def examples(self, part: Part) -> Examples:
        """Features and labels of one part."""
        chosen = self.where(part)
        return Examples(self.extraction.features[chosen], self.labels[chosen])

    def counts(self) -> dict[str, float]:
        """Clips per part, and how many carry each kind of note."""
        parts = Counter(self.parts)
        return {
            **{f"clips/{part}": float(parts[part]) for part in ("train", "validation", "test")},
            **{f"clips/{kind.replace(' ', '_')}": float(len(self.notes[kind])) for kind in _COUNTED},
            "groups_on_both_sides": float(len(self.notes["groups on both sides"])),
        }


@dataclass(frozen=True)
class Runtime:
    """Where things are on this machine, and how much of it to use; no result depends on it.

    Attributes:
        data: folder of all datasets. cache: of features and of what is known of files. workers: cores to use.
        progress: given a title, returns what to tell of (done, in all), or None to show nothing.
    """

    data: Path
    cache: Path
    workers: int
    progress: Progress


def list_clips(settings: DatasetSettings, place: Runtime, *, anew: bool = False) -> FileDigests:
    """The dataset's clips from whichever source is there, and what their files hold.

    Args:
        anew: read every file, whatever is known of it.

    Raises:
        UserError: the dataset is not there and cannot be made.
    """
    title = settings.title
    told = place.progress(f"{title}: rendering")
    dataset = sources.load_dataset(settings, place.data, workers=place.workers, progress=told)
    if settings.label == "class":
        dataset = datasets.select_classes(dataset, settings.include_classes)
    dataset = datasets.windowed(settings, dataset, _seconds)
    return read_digests(dataset, cache=place.cache, workers=place.workers, anew=anew)


def _seconds(path: Path) -> float | None:
    try:
        return header(path).seconds
    except UnreadableAudio:
        return None


def contents_at_hand(settings: DatasetSettings, place: Runtime) -> FileDigests | None:
    """The dataset's clips as they are on this machine; None where they are not there: nothing is made.

    Raises:
        UserError: they are there, and cannot be used.
    """
    if sources.present(settings, place.data) is None:
        return None
    return list_clips(settings, place)


def prepare(
    settings: DatasetSettings, contents: FileDigests, pipeline: FeaturePipeline, split: Split, place: Runtime
) -> LabelledFeatures:
    """Features, labels and split of listed clips.

    Raises:
        UserError: a split that leaves a class without training clips, before anything is computed where labels are
            known beforehand; no usable data; every unusable file is named, unless `dataset.on_unreadable=skip`.
    """
    if settings.label != "loudness":  # whose labels are measured first
        split.tested_parts(datasets.labelled(settings, contents.dataset, ()))
    if settings.on_unreadable == "fail":
        _refuse(contents.dataset, _unusable(contents, pipeline.window, place, settings.title))
    told = place.progress(f"{settings.title}: features")
    extraction = extract(contents, pipeline, cache=place.cache, workers=place.workers, progress=told)
    if settings.on_unreadable == "fail":
        _refuse(contents.dataset, extraction.failed)
    if not extraction.clips:
        root = printable(contents.dataset.root)
        raise UserError(
            f"{contents.dataset.name}: none of the {len(contents.dataset.clips)} files in {root} can be used"
        )
    dataset, extraction = _labelled(settings, contents.dataset, extraction)
    parts = split.tested_parts(dataset)
    position = {label: i for i, label in enumerate(dataset.classes)}
    labels = np.array([position[clip.label] for clip in dataset.clips], dtype=np.int64)
    notes = _notes(dataset, extraction, pipeline, split)
    _warn(dataset, parts, notes)
    return LabelledFeatures(dataset, extraction, parts, labels, notes)


def _unusable(contents: FileDigests, window: Window, place: Runtime, title: str) -> dict[str, str]:
    """Messages by clip id for the files that cannot be used, before features are computed, which may take hours.

    Headers are cheap to read, so that all are looked at; only where one of them is not usable the other files are
    decoded, so that all unusable files are named at once. Nothing is read of files that were decoded before.
    """
    index, known_header = contents.index, cache(header)

    def check(clip: Clip) -> None:
        seconds, end = (
            known_header(clip.path).seconds,
            0.0 if clip.excerpt is None else clip.excerpt[1] or clip.excerpt[0],
        )
        if end > seconds + _ROUNDING:
            raise UnreadableAudio(
                f"{printable(clip.path)}: lasts {seconds:.2f} s, but one of its clips ends at {end:g} s; expected "
                "clips within the file, in seconds"
            )

    clips = [
        clip
        for clip in contents.dataset.clips
        if clip.id in contents.digests and index.facts(contents.digests[clip.id], window) is None
    ]

    def failures(look: Callable[[Clip], object], looked_at: Sequence[Clip], told: Told) -> dict[str, str]:
        def reason(clip: Clip) -> str:
            try:
                look(clip)
            except UnreadableAudio as error:
                return str(error)
            return ""

        found = {}
        with ThreadPoolExecutor(place.workers) as pool:
            for done, (clip, text) in enumerate(zip(looked_at, pool.map(reason, looked_at), strict=True), start=1):
                if text:
                    found[clip.id] = text
                if told is not None:
                    told(done, len(looked_at))
        return found

    failed = contents.failed | failures(check, clips, None)
    if failed:
        rest = [clip for clip in clips if clip.id not in failed]
        told = place.progress(f"{title}: unusable files")
        failed |= failures(lambda clip: decode(clip.path, clip.cut(window)), rest, told)
    return {clip.id: failed[clip.id] for clip in contents.dataset.clips if clip.id in failed}


def _refuse(dataset: Dataset, failed: Mapping[str, str]) -> None:
    """Raise one error that names every file in `failed`, if there is any."""
    if failed:
        listed = "\n  ".join(failed.values())
        raise UserError(
            f"{dataset.name}: {len(failed)} of {len(dataset.clips)} files cannot be used:\n  {listed}\n"
            "Mend or remove them, or leave them out with dataset.on_unreadable=skip"
        )


def _labelled(settings: DatasetSettings, dataset: Dataset, extraction: Extraction) -> tuple[Dataset, Extraction]:
    """The usable clips under the labels asked for, with their features in the same order."""
    usable = replace(dataset, clips=tuple(extraction.clips))
    usable = datasets.labelled(settings, usable, [facts.rms for facts in extraction.facts])
    position = {clip.id: i for i, clip in enumerate(extraction.clips)}
    return usable, extraction.chosen([position[clip.id] for clip in usable.clips], usable.clips)


def _notes(dataset: Dataset, extraction: Extraction, pipeline: FeaturePipeline, split: Split) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {kind: [] for kind in ("short", *CONSEQUENCES)}
    for clip, facts, rendered in zip(dataset.clips, extraction.facts, extraction.rendered, strict=True):
        short = ["short"] if "short" in facts.warnings(pipeline.window) else []
        for kind in (*short, *rendered.warnings()):
            found[kind].append(clip.id)
    runs = [run.parts(dataset) for run in split.runs(dataset)]
    tested = Counter(
        clip.label for parts in runs for clip, part in zip(dataset.clips, parts, strict=True) if part == "test"
    )
    return {
        "dataset": list(dataset.notes),
        "unusable": list(extraction.failed.values()),
        **found,
        "classes without test clips": [label for label in dataset.classes if not tested[label]],
        "groups on both sides": sorted(
            {group for parts in runs for group in groups_on_both_sides(dataset.clips, parts)}
        ),
        "labels in doubt": two_labels(
            [clip.id for clip in dataset.clips],
            [clip.label for clip in dataset.clips],
            [clip.original for clip in dataset.clips],
        ),
    }


def _warn(dataset: Dataset, parts: Sequence[Part], notes: dict[str, list[str]]) -> None:
    # The clips of a set without groups may still hold the same bytes.
    parting = "kfold" if all(name.startswith(SAME_BYTES) for name in notes["groups on both sides"]) else "grouped"
    consequences = {
        "unusable": "left out",
        "short": "shorter than dataset.duration",
        **CONSEQUENCES,
        "classes without test clips": "classes without test clips: their recall is not available",
        "groups on both sides": f"groups on both sides of the split, which flatters it; split={parting} parts them",
        "labels in doubt": "times the same bytes under different labels, of which one at most is right",
    }
    for kind, consequence in consequences.items():
        if notes[kind]:
            log.warning("%s: %d %s (%s)", dataset.name, len(notes[kind]), consequence, notes[kind][0])
