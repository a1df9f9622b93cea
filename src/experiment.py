"""One experiment, from a dataset's name to a finished MLflow run."""

import tempfile
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from src import provenance
from src.contents import Contents
from src.data.clip import Dataset
from src.data.dataset import DatasetSettings
from src.data.split import Split
from src.errors import printable
from src.features import digest_of
from src.head import FittedHead, Head, Trainer
from src.ledger.ledger import Ledger
from src.material import Material, Place, Progress, list_clips, prepare
from src.recipe import Recipe
from src.results import log_results
from src.tracking import Run, RunRecord, Store, flat
from src.trained.card import Card
from src.transfer import FineTune, Transfer

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
        workers: cores that extract features. seed: of the head. settings: the whole configuration as plain values,
            as it is stored with the run. settled: the backbone's settings as they were loaded, `auto` decided.
    """

    dataset: DatasetSettings
    recipe: Recipe
    head: Head
    split: Split
    trainer: Trainer
    transfer: Transfer
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
        if tuning := self.transfer.key():  # what was known before it could be chosen keeps its identity
            parts["transfer"] = {**tuning, "threads": self.trainer.threads}
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
        force: read the dataset's files anew, and run it even so.

    Raises:
        UserError: data or settings do not allow it; a run already begun is FAILED with the reason.
    """
    _check(experiment)
    paths = experiment.paths
    place = Place(Path(paths.data), Path(paths.cache), experiment.workers, progress)
    contents = list_clips(experiment.dataset, place, anew=force)
    identity = experiment.identity(contents.digest())
    tags = {**_tags(experiment, contents.dataset), "identity": identity, "data_digest": contents.digest()}
    name = "-".join((tags["dataset"], tags["preprocess"], tags["backbone"], tags["head"], f"seed{experiment.seed}"))
    with Ledger(store).job(identity, force=force) as job:
        if job.known is not None:
            return Outcome.of(job.known)
        with job.run(name, tags) as run:
            run.log(params=flat(experiment.settings))
            material = prepare(experiment.dataset, contents, experiment.recipe, experiment.split, place)
            learned = _fit(experiment, material, run)
            if isinstance(experiment.transfer, FineTune):
                learned = _fine_tuned(experiment.transfer, experiment, contents, learned, place, run)
            material = learned.material
            seconds = {**material.extraction.seconds, **learned.seconds}
            card = _card(experiment, learned)
            accuracy = log_results(run, material, learned.head, seconds, experiment.settings, card)
    return Outcome(run.run_id, accuracy, len(material.where("test")), seconds, tags)


@dataclass(frozen=True, eq=False)
class _Learned:
    """A head, the features it was fitted to, and what made them; seconds per stage of learning."""

    recipe: Recipe
    material: Material
    head: FittedHead
    seconds: dict[str, float]


def _check(experiment: Experiment) -> None:
    """Refuse what cannot be trained before a run begins."""
    if isinstance(experiment.transfer, FineTune):
        from src.transfer.tuning import tunable  # here: torch and Lightning take seconds

        tunable(experiment.recipe.backbone)


def _fit(experiment: Experiment, material: Material, run: Run) -> _Learned:
    """The head fitted to frozen features."""
    start = time.perf_counter()
    head = experiment.head.fit(
        material.examples("train"),
        material.examples("validation"),
        classes=len(material.dataset.classes),
        seed=experiment.seed,
        trainer=experiment.trainer,
        # where the network is trained next, the curve is that of its training
        logger=None if isinstance(experiment.transfer, FineTune) else run.lightning_logger(),
    )
    return _Learned(experiment.recipe, material, head, {"fit": time.perf_counter() - start})


def _fine_tuned(
    settings: FineTune, experiment: Experiment, contents: Contents, begun: _Learned, place: Place, run: Run
) -> _Learned:
    """The network trained with the head, whose weights the run stores, and its features of every clip."""
    from src.head.validation import log_validation
    from src.transfer.tuning import finetune, save

    start, logger = time.perf_counter(), run.lightning_logger()
    tuned = finetune(
        settings, begun.recipe, begun.material, begun.head,
        seed=experiment.seed, trainer=experiment.trainer, place=place, logger=logger,
    )  # fmt: skip
    seconds = {**begun.seconds, "finetune": time.perf_counter() - start}
    with tempfile.TemporaryDirectory() as folder:
        save(tuned, Path(folder))
        run.artifacts(Path(folder))
    recipe = replace(begun.recipe, backbone=tuned.network)
    material = prepare(experiment.dataset, contents, recipe, experiment.split, place)
    log_validation(logger, tuned.head, material.examples("validation"), step=settings.steps)
    return _Learned(recipe, material, tuned.head, seconds)


def _card(experiment: Experiment, learned: _Learned) -> Card:
    durations = [facts.duration for facts in learned.material.extraction.facts]
    return Card.of(
        learned.recipe.key(),
        experiment.settled,
        learned.material.dataset.classes,
        learned.head.kind,
        trained=[durations[i] for i in learned.material.where("train")],
        every=durations,
    )


def _tags(experiment: Experiment, dataset: Dataset) -> dict[str, str]:
    backbone = experiment.recipe.backbone
    drawn = type(experiment.recipe.drawing.spectrogram).__name__.lower()
    return {
        "dataset": dataset.name,
        "dataset_root": printable(dataset.root.resolve()),
        "preprocess": experiment.recipe.drawing.preprocess.name,
        "spectrogram": drawn if backbone.input == "picture" else "none",
        "backbone": backbone.name,
        "weights": backbone.weights,
        "head": experiment.head.name,
        "split": experiment.split.name,
        "transfer": experiment.transfer.name,
        "seed": str(experiment.seed),
        "origin": dataset.origin,
        "provenance": dataset.provenance,
        "result_version": str(RESULT_VERSION),
        **provenance.code_tags(),
    }
