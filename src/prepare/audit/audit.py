"""The whole audit of a dataset, from its clips to a report that is printed, written down and tracked."""

import json
import logging
import sys
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from omegaconf import DictConfig

from src.cli.terminal import progress_bar
from src.config import build as configure
from src.data.audio import Window
from src.data.clip import Dataset
from src.data.dataset import DatasetSettings
from src.data.parts import Part
from src.data.paths import Paths
from src.data.split import Split, groups_on_both_sides
from src.errors import UserError, printable
from src.features.pipeline import ImageTransform
from src.prepare.audit.census import census
from src.prepare.audit.copies import Labelling, exact, near, recordings
from src.prepare.audit.figure import draw
from src.prepare.audit.measurement import measure
from src.prepare.audit.probes import probe_all
from src.prepare.audit.report import Report, as_text
from src.prepare.audit.suspects import suspects
from src.tracking import provenance
from src.tracking.store import Store

log = logging.getLogger(__name__)
Progress = Callable[[int, int], None]


def audit_dataset(cfg: DictConfig, dataset: Dataset, settings: DatasetSettings) -> None:
    """Report on a dataset: a table on the terminal, JSON and a figure below `reports/`, all of it in MLflow.

    Raises:
        UserError: no clip of it can be used.
    """
    paths = configure.build("paths", configure.plain_group(cfg, "paths"), Paths)
    split = configure.build("split", configure.plain_group(cfg, "split"), Split)
    report = audit(
        dataset,
        settings.cut,
        split,
        configure.image_transform(
            {key: configure.plain_group(cfg, key) for key in ("dataset", "preprocess", "spectrogram")}
        ),
        cache=Path(paths.cache),
        workers=configure.workers(cfg.workers),
        progress=progress_bar(f"{dataset.name}: audit") if cfg.progress else None,
    )
    folder = Path(str(cfg.reports))
    folder.mkdir(parents=True, exist_ok=True)
    written = {f"audit-{dataset.name}.json": json.dumps(report.to_json(), indent=1, ensure_ascii=False).encode()}
    written[f"audit-{dataset.name}.txt"] = as_text(report).encode()
    with tempfile.TemporaryDirectory() as name:
        for file, content in written.items():
            (Path(name) / file).write_bytes(content)
        try:
            draw(report, Path(name) / f"audit-{dataset.name}.png")
        except Exception as error:  # the tables hold all that the picture shows
            log.warning("audit-%s.png could not be drawn (%s: %s)", dataset.name, type(error).__name__, error)
        for path in Path(name).iterdir():
            (folder / path.name).write_bytes(path.read_bytes())
        tags = {
            "kind": "audit",
            "dataset": dataset.name,
            "origin": dataset.origin,
            "provenance": dataset.provenance,
            "split": split.name,
            **provenance.code_tags(),
        }
        with Store(*configure.tracking(cfg)).run(f"audit-{dataset.name}-{split.name}", tags) as run:
            run.log(metrics={f"probe/{probe.name}": probe.accuracy for probe in report.probes})
            run.artifacts(Path(name))
    sys.stdout.write(f"{as_text(report)}\n{folder}/audit-{dataset.name}.json, .txt, .png\n")


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
        suspects=suspects(measured),
    )


def _parts(dataset: Dataset, split: Split) -> tuple[list[Part], str | None]:
    try:
        return split.parts(dataset), None
    except UserError as error:
        return [], str(error)
