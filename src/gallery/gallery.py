"""The error gallery of a run and its siblings, written to one file."""

import logging
import sys
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig

from src.config import build as configure
from src.config import select_run
from src.data.dataset import DatasetSettings
from src.data.paths import Paths
from src.data.writing import write_asked
from src.errors import UserError
from src.features.digests import FileDigests
from src.features.labelled import Runtime, list_clips
from src.gallery.judged import Judged, judged, siblings
from src.gallery.media import Media, Shown, collect
from src.gallery.page import Told, page
from src.tracking.naming import made_by
from src.tracking.predictions import PREDICTIONS, read_predictions
from src.tracking.store import RunRecord, Store

log = logging.getLogger(__name__)


def exhibit(cfg: DictConfig) -> None:
    """Write the gallery of the run that `cfg` means; see conf/gallery.yaml.

    Raises:
        UserError: no such run, a run that did not finish, clips that are not there, a place that cannot be written.
    """
    media = configure.build("media", configure.plain_group(cfg, "media"), Media)
    run = select_run.find_run(cfg)
    if run.status != "FINISHED":
        raise UserError(f"run {run.run_id}: it is {run.status}; only a finished run has predictions")
    out = Path(str(cfg.out)) if cfg.out is not None else Path("reports") / f"gallery-{run.run_id[:8]}.html"
    if out.suffix.lower() not in (".html", ".htm"):
        raise UserError(f"out={out}: expected a name ending in .html")
    store = select_run.store(cfg)
    runs = siblings(run, store.runs())
    found = judged(runs, [read_predictions(store.artifact(one.run_id, PREDICTIONS), one.run_id) for one in runs])
    settings = _settings(store, run, cfg)
    contents = _contents(settings, cfg)
    shown = _shown(found, contents, settings, media, out, configure.workers(cfg.workers))
    told = Told(
        title=f"What the model gets wrong: {run.tags['dataset']}",
        lead=(f"{run.tags['dataset']} ({run.tags['origin']}), {run.tags['preprocess']}: {made_by(run.tags)}.",),
        notes=_notes(found, runs, contents, media, shown),
        runs=tuple((int(one.tags["seed"]), one.run_id, one.metrics["test/accuracy"]) for one in runs),
        limit=media.cell,
    )
    text = page(found, shown, told)
    write_asked(f"out={out}", {out: text.encode()})
    sys.stdout.write(
        f"{out}: {len(found.ids)} test clips, {len(runs)} seed{'s' * (len(runs) > 1)}; {len(found.always_wrong())} "
        f"wrong for every seed, {len(found.disputed())} on which seeds disagree; {len(text) / 1e6:.1f} MB\n"
    )


def _settings(store: Store, run: RunRecord, cfg: DictConfig) -> dict[str, Any]:
    """The run's own settings, with this machine's folders."""
    settings: dict[str, Any] = yaml.safe_load(store.artifact(run.run_id, "config.yaml"))
    if cfg.root is not None:
        settings["dataset"]["root"] = str(cfg.root)
    return {**settings, "paths": configure.plain_group(cfg, "paths")}


def _contents(settings: dict[str, Any], cfg: DictConfig) -> FileDigests:
    paths = configure.build("paths", settings["paths"], Paths)
    place = Runtime(Path(paths.data), Path(paths.cache), configure.workers(cfg.workers), lambda _: None)
    try:
        return list_clips(configure.build("dataset", settings["dataset"], DatasetSettings), place)
    except UserError as error:
        raise UserError(f"{error}\nWhere the clips have moved, say where they are with root=FOLDER") from error


def _shown(
    found: Judged, contents: FileDigests, settings: dict[str, Any], media: Media, out: Path, workers: int
) -> dict[str, Shown]:
    """What the page needs to show: mistakes first, so that limits leave out what was got right."""
    lists = (found.confidently_wrong(), found.always_wrong(), found.disputed())
    classes = range(len(found.classes))
    pairs = sorted(((i, j) for i in classes for j in classes), key=lambda pair: pair[0] == pair[1])
    wanted = [clip for some in lists for clip in some[: media.cell]]
    wanted += [clip for pair in pairs for clip in found.in_cell(*pair)[: media.cell]]
    ids = [found.ids[clip] for clip in dict.fromkeys(wanted)][: media.clips]
    clips = {clip.id: clip for clip in contents.dataset.clips}
    return collect(ids, clips, configure.image_transform(settings), media, out, workers)


def _notes(
    found: Judged, runs: list[RunRecord], contents: FileDigests, media: Media, shown: dict[str, Shown]
) -> tuple[str, ...]:
    """What is and is not on the page."""
    told = []
    if contents.digest() != runs[0].tags.get("data_digest"):
        told.append("The dataset's files are no longer those that the runs saw: clips may look and sound different.")
        log.warning("%s", told[-1])
    heard = sum(bool(one.sound) for one in shown.values())
    if media.sounds == "embed":
        cut = sum(bool(one.sound) and not one.whole for one in shown.values())
        told.append(
            f"{heard} of {len(found.ids)} test clips can be heard, as small MP3s of one channel within this page, as "
            "loud as they were recorded" + (f"; {cut} of them only for {media.seconds:g} s." if cut else ".")
        )
    elif media.sounds == "link":
        told.append("Sounds are links to the dataset's files: they play where this page was made.")
    if len(shown) < len(found.ids):
        told.append(f"Pictures: {len(shown)} of {len(found.ids)} test clips, mistakes first (media.clips, media.cell).")
    if len(runs) == 1:
        told.append("No run of another seed with these settings and data was found.")
    return tuple(told)
