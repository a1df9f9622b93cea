"""Sounds that resemble no training clip: how far is too far, by the run's own clips."""

from dataclasses import replace

import numpy as np
from omegaconf import DictConfig

from src.cli.terminal import progress_of
from src.config import select_run
from src.errors import UserError
from src.evaluation.novelty import NearestClips
from src.features.extract import extract
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
    runtime = select_run.runtime(cfg, progress_of(cfg))
    contents = select_run.clips_of(model.run, model.settings, cfg.root, runtime)
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
