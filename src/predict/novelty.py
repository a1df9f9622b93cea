"""Sounds that resemble no training clip: how far is too far, by the run's own clips."""

from dataclasses import replace
from pathlib import Path

import numpy as np
from omegaconf import DictConfig

from src.cli.terminal import progress_of
from src.config import build as configure
from src.data.dataset import DatasetSettings
from src.data.paths import Paths
from src.errors import UserError
from src.evaluation.novelty import NearestClips
from src.features.extract import extract
from src.features.labelled import Runtime, list_clips
from src.tracking.checkpoint import TrainedModel
from src.tracking.predictions import Predictions


def reference(
    cfg: DictConfig, model: TrainedModel, predictions: Predictions, novelty: float
) -> tuple[NearestClips, float]:
    """The run's training clips, and the distance that a share `novelty` of its validation clips exceeds.

    Their features come from the cache, or are computed again.

    Raises:
        UserError: the clips are not there, or have changed; there are no validation clips.
    """
    paths = configure.build("paths", configure.plain_group(cfg, "paths"), Paths)
    runtime = Runtime(Path(paths.data), Path(paths.cache), configure.workers(cfg.workers), progress_of(cfg))
    dataset = configure.build("dataset", model.settings["dataset"], DatasetSettings)
    if cfg.root is not None:
        dataset = replace(dataset, root=str(cfg.root), name=dataset.title)
    contents = list_clips(dataset, runtime)
    if contents.digest() != model.run.tags["data_digest"]:
        raise UserError(
            f"novelty: {contents.dataset.root} does not hold the clips that run {model.run.run_id} learned from; say "
            "where those are with root=FOLDER, or leave novelty out"
        )
    parts = dict(zip(predictions.ids, predictions.parts, strict=True))
    clips = tuple(clip for clip in contents.dataset.clips if parts.get(clip.id) in ("train", "validation"))
    contents = replace(contents, dataset=replace(contents.dataset, clips=clips))
    extraction = extract(
        contents,
        model.pipeline,
        cache=runtime.cache,
        workers=runtime.workers,
        progress=runtime.progress("training clips"),
    )
    held_out = np.array([parts[clip.id] == "validation" for clip in extraction.clips])
    if held_out.all() or not held_out.any():
        raise UserError("novelty: the run needs training and validation clips to say what is far")
    nearest = NearestClips.of(extraction.features[~held_out])
    return nearest, float(np.quantile(nearest.distance(extraction.features[held_out]), 1 - novelty))
