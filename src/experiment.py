"""One experiment, from a dataset's name to a finished MLflow run."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from src import provenance
from src.data.dataset import DatasetSettings
from src.data.split import Split
from src.extract import Recipe
from src.head import Head, Trainer
from src.material import Material, Progress, prepare
from src.results import log_results
from src.tracking import Store, flat

RESULT_VERSION = 1
"""Raised by whoever changes what an accuracy means; tables flag results of different versions."""


@dataclass(frozen=True)
class Paths:
    """Folders: of the datasets, of the cache, of the tracking database, of weight files."""

    data: str
    cache: str
    tracking: str
    weights: str


@dataclass(frozen=True)
class Experiment:
    """Everything that one job needs.

    Attributes:
        workers: threads that extract features. seed: of the head. settings: the whole configuration as plain values,
            as it is stored with the run.
    """

    dataset: DatasetSettings
    recipe: Recipe
    head: Head
    split: Split
    trainer: Trainer
    paths: Paths
    workers: int
    seed: int
    settings: dict[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What a finished job has to show: accuracy in 0..1, test clips, seconds per stage, the run's tags."""

    run_id: str
    accuracy: float
    test_clips: int
    seconds: dict[str, float]
    tags: dict[str, str]


def run_experiment(experiment: Experiment, store: Store, *, progress: Progress) -> Outcome:
    """Data, features, fit, test and log: one finished run in the store.

    Raises:
        UserError: data or settings do not allow it; a run already begun is FAILED with the reason.
    """
    material = prepare(
        experiment.dataset,
        experiment.recipe,
        experiment.split,
        data=Path(experiment.paths.data),
        cache=Path(experiment.paths.cache),
        workers=experiment.workers,
        progress=progress,
    )
    tags = _tags(experiment, material)
    name = "-".join((tags["dataset"], tags["preprocess"], tags["backbone"], tags["head"], f"seed{experiment.seed}"))
    with store.run(name, tags) as run:
        run.log(params=flat(experiment.settings))
        start = time.perf_counter()
        head = experiment.head.fit(
            material.examples("train"),
            material.examples("validation"),
            classes=len(material.dataset.classes),
            seed=experiment.seed,
            trainer=experiment.trainer,
            logger=run.lightning_logger(),
        )
        seconds = {**material.extraction.seconds, "fit": time.perf_counter() - start}
        accuracy = log_results(run, material, head, seconds, experiment.settings)
    return Outcome(run.run_id, accuracy, len(material.where("test")), seconds, tags)


def _tags(experiment: Experiment, material: Material) -> dict[str, str]:
    backbone, dataset = experiment.recipe.backbone, material.dataset
    return {
        "dataset": dataset.name,
        "preprocess": experiment.recipe.preprocess.name,
        "spectrogram": type(experiment.recipe.spectrogram).__name__.lower() if backbone.input == "picture" else "none",
        "backbone": backbone.name,
        "weights": backbone.weights,
        "head": experiment.head.name,
        "split": experiment.split.name,
        "seed": str(experiment.seed),
        "origin": dataset.origin,
        "provenance": dataset.provenance,
        "data_digest": material.digest(),
        "result_version": str(RESULT_VERSION),
        **provenance.code_tags(),
    }
