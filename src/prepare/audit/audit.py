"""The whole audit of a dataset, from its clips to a report."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from src.data.audio import Window
from src.data.clip import Dataset
from src.data.split import Part, Split, groups_on_both_sides
from src.errors import UserError, printable
from src.features.pipeline import ImageTransform
from src.prepare.audit.census import census
from src.prepare.audit.copies import Labelling, exact, near, recordings
from src.prepare.audit.measurement import measure
from src.prepare.audit.probes import probe_all
from src.prepare.audit.report import Report

Progress = Callable[[int, int], None]


def audit(
    dataset: Dataset,
    window: Window,
    split: Split,
    image_transform: ImageTransform | None = None,
    *,
    cache: Path,
    workers: int,
    progress: Progress | None = None,
) -> Report:
    """Examine a dataset as it is used: its clips, and how this split parts them.

    Unreadable files and a split that cannot be made are findings, not errors.

    Args:
        window: the clip within each file. cache: folder of all caches. workers: threads.
        image_transform: how clips are drawn; None: nothing is said of their images.
        progress: told (files decoded, files to decode).

    Raises:
        UserError: not one file can be used.
    """
    measured, failed = measure(dataset, window, image_transform, cache=cache, workers=workers, progress=progress)
    if not measured:
        listed = "\n  ".join(failed.values())
        raise UserError(
            f"{dataset.name}: none of the {len(failed)} files in {printable(dataset.root)} can be used:\n  {listed}"
        )
    clips = tuple(one.clip for one in measured)
    parts, problem = _parts(replace(dataset, clips=clips), split)
    labelling = Labelling(clips, parts)
    same, alike = exact(measured, labelling), near(measured, window, labelling, workers=workers)
    return Report(
        dataset=dataset.name,
        origin=dataset.origin,
        provenance=dataset.provenance,
        notes=dataset.notes,
        window=window.key(),
        split=split.key(),
        split_problem=problem,
        classes=census(dataset, measured, parts, window),
        unreadable=failed,
        exact=tuple(same),
        near=tuple(alike),
        recordings=tuple(recordings([*same, *alike], labelling)),
        groups_on_both_sides=tuple(groups_on_both_sides(clips, parts)) if parts else (),
        probes=probe_all(measured, parts),
    )


def _parts(dataset: Dataset, split: Split) -> tuple[list[Part], str | None]:
    try:
        return split.parts(dataset), None
    except UserError as error:
        return [], str(error)
