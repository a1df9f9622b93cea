"""One experiment, from a dataset's name to a finished MLflow run."""

import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from src import provenance
from src.data.clip import Dataset
from src.data.dataset import DatasetSettings
from src.data.split import Split
from src.features import digest_of
from src.head import FittedHead, Head, Trainer
from src.ledger.ledger import Ledger
from src.material import Material, Place, Progress, list_clips, prepare
from src.recipe import Recipe
from src.results import log_results
from src.tracking import Run, RunRecord, Store, flat
from src.trained.card import Card

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

_STEPPED = ("linear", "mlp", "smo")

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
            as it is stored with the run. settled: the backbone's settings as they were loaded, `auto` decided.
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
    settled: dict[str, Any]

    def identity(self, data: str) -> str:
        """Hash of everything that determines the result; neither where it runs nor how it logs.

        Args:
            data: digest of the dataset's contents.
        """
        labels: dict[str, Any] = {key: getattr(self.dataset, key) for key in ("label", "keep", "on_error")}
        if self.dataset.label == "loudness":
            labels["loudness_classes"] = self.dataset.loudness_classes
        elif self.dataset.label != "class":
            labels["relabel"] = self.dataset.relabel[self.dataset.label]
        steps = {
            "max_steps": self.trainer.max_steps,
            "batch_size": self.trainer.batch_size,
            "threads": self.trainer.threads,
        }
        head = {"kind": type(self.head).__name__, **asdict(cast("DataclassInstance", self.head))}
        parts = {
            "version": RESULT_VERSION,
            "data": data,
            "base": self.dataset.base or self.dataset.title,
            "labels": labels,
            "features": self.recipe.key(),
            "head": head,
            "split": self.split.key(),
            "trainer": steps if self.head.name in _STEPPED else {},
            "seed": self.seed,
        }
        return digest_of(parts)


@dataclass(frozen=True)
class Outcome:
    """What a finished job has to show: accuracy in 0..1, test clips, seconds per stage, the run's tags.

    Attributes:
        known: whether the run was there before, so that nothing was computed.
    """

    run_id: str
    accuracy: float
    test_clips: int
    seconds: dict[str, float]
    tags: dict[str, str]
    known: bool = False

    @classmethod
    def of(cls, run: RunRecord) -> "Outcome":
        """The outcome of a run that finished before."""
        seconds = {key.removeprefix("seconds/"): v for key, v in run.metrics.items() if key.startswith("seconds/")}
        clips = int(run.metrics["clips/test"])
        return cls(run.run_id, run.metrics["test/accuracy"], clips, seconds, run.tags, known=True)


def run_experiment(experiment: Experiment, store: Store, *, force: bool, progress: Progress) -> Outcome:
    """Data, features, fit, test and log: one finished run in the store; the finished run itself where there is one.

    Args:
        force: run it even so.

    Raises:
        UserError: data or settings do not allow it; a run already begun is FAILED with the reason.
    """
    paths = experiment.paths
    place = Place(Path(paths.data), Path(paths.cache), experiment.workers, progress)
    contents = list_clips(experiment.dataset, place)
    identity = experiment.identity(contents.digest())
    tags = {**_tags(experiment, contents.dataset), "identity": identity, "data_digest": contents.digest()}
    name = "-".join((tags["dataset"], tags["preprocess"], tags["backbone"], tags["head"], f"seed{experiment.seed}"))
    with Ledger(store).job(identity, force=force) as job:
        if job.known is not None:
            return Outcome.of(job.known)
        with job.run(name, tags) as run:
            run.log(params=flat(experiment.settings))
            material = prepare(experiment.dataset, contents, experiment.recipe, experiment.split, place)
            accuracy, seconds = _fit_and_test(experiment, material, run)
    return Outcome(run.run_id, accuracy, len(material.where("test")), seconds, tags)


def _fit_and_test(experiment: Experiment, material: Material, run: Run) -> tuple[float, dict[str, float]]:
    """Test accuracy in 0..1, and seconds per stage."""
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
    return log_results(run, material, head, seconds, experiment.settings, _card(experiment, material, head)), seconds


def _card(experiment: Experiment, material: Material, head: FittedHead) -> Card:
    durations = [facts.duration for facts in material.extraction.facts]
    return Card.of(
        experiment.recipe.key(),
        experiment.settled,
        material.dataset.classes,
        head.kind,
        trained=[durations[i] for i in material.where("train")],
        every=durations,
    )


def _tags(experiment: Experiment, dataset: Dataset) -> dict[str, str]:
    backbone = experiment.recipe.backbone
    drawn = type(experiment.recipe.drawing.spectrogram).__name__.lower()
    return {
        "dataset": dataset.name,
        "preprocess": experiment.recipe.drawing.preprocess.name,
        "spectrogram": drawn if backbone.input == "picture" else "none",
        "backbone": backbone.name,
        "weights": backbone.weights,
        "head": experiment.head.name,
        "split": experiment.split.name,
        "seed": str(experiment.seed),
        "origin": dataset.origin,
        "provenance": dataset.provenance,
        "result_version": str(RESULT_VERSION),
        **provenance.code_tags(),
    }
