"""One experiment, from a dataset's name to a finished MLflow run."""

import json
import logging
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from src.data.clip import Dataset
from src.data.dataset import DatasetSettings, classes_of
from src.data.paths import Paths
from src.data.split import Split
from src.errors import UserError, printable
from src.features.cache import digest_of
from src.features.digests import FileDigests
from src.features.labelled import LabelledFeatures, Progress, Runtime, list_clips, prepare
from src.features.pipeline import FeaturePipeline, ImageTransform, input_key
from src.head import FittedHead, Head, MetricLogger, Trainer
from src.head.transfer import FineTune, Transfer, check_head
from src.tracking import provenance
from src.tracking.ledger import Ledger
from src.tracking.model_card import ModelCard
from src.tracking.results import CORRECT, CorrectClips, CrossValidated, log_results
from src.tracking.store import RunRecord, Store, flat

if TYPE_CHECKING:
    from src.head.finetune import Tuned

log = logging.getLogger(__name__)

RESULT_VERSION = 2
"""Raised by whoever changes what an accuracy means; tables flag results of different versions."""


@dataclass(frozen=True)
class Experiment:
    """Everything that one job needs.

    Attributes:
        workers: cores that extract features. seed: of the head. settings: the whole configuration as plain values,
            as it is stored with the run. settled: the backbone's settings as they were loaded, `auto` decided.
    """

    dataset: DatasetSettings
    pipeline: FeaturePipeline
    head: Head
    split: Split
    trainer: Trainer
    transfer: Transfer
    paths: Paths
    workers: int
    seed: int
    settings: dict[str, Any]
    settled: dict[str, Any]

    @property
    def settings_digest(self) -> str:
        """What reports find runs by; see `settings_key`."""
        key = settings_key(
            self.dataset, self.pipeline.image_transform, self.pipeline.backbone,
            head=self.head, transfer=self.transfer, trainer=self.trainer, split=self.split,
        )  # fmt: skip
        return digest_of(key)

    @property
    def reads(self) -> frozenset[str]:
        """Which of `seed` and the trainer's settings change the bits of the result."""
        return self.head.reads | self.transfer.reads

    def key(self, contents: FileDigests) -> dict[str, Any]:
        """Everything that determines the result, as literals; neither how it is logged nor how many cores there are.

        Args:
            contents: the dataset's clips and their files.

        Raises:
            UserError: classes to include or to relabel that the dataset has not, or a device that is not there.
        """
        classes, own = classes_of(self.dataset, contents.dataset), self.split.own_key(contents.dataset)
        return {
            "version": RESULT_VERSION,
            "data": contents.digest(),
            "dataset": self.dataset.key(classes),
            "features": self.pipeline.key(),
            **fit_key(self.head, self.transfer, self.trainer),
            "split": {**self.split.key_for(contents.dataset.base), **({"own": digest_of(own)} if own else {})},
            "device": self.trainer.device() if "accelerator" in self.reads else None,
            "seed": self.seed if "seed" in self.reads else None,
        }

    def identity(self, contents: FileDigests) -> str:
        """Digest of `key`: runs of one identity are one result."""
        return digest_of(self.key(contents))

    def cell(self, contents: FileDigests) -> str:
        """Digest of `key` without the seed: runs of one cell repeat each other with other seeds."""
        return digest_of({**self.key(contents), "seed": None})


def settings_key(
    dataset: DatasetSettings,
    image_transform: ImageTransform,
    backbone: Any,
    *,
    head: Head,
    transfer: Transfer,
    trainer: Trainer,
    split: Split,
) -> dict[str, Any]:
    """What the settings alone say of a result, whatever the data, a network, the device and the seed.

    It needs neither files nor weights, so that a report can look for the runs of a configuration.

    Args:
        backbone: loaded, or its settings; one without weights is told by its identity.
    """
    relabel = {name: sorted(olds) for name, olds in dataset.relabel.get(dataset.label, {}).items()}
    return {
        "dataset": {**dataset.key(()), **dataset.chosen_classes(), "relabel": relabel},
        "group_pattern": dataset.group_pattern,
        "window": image_transform.window.key(),
        "input": input_key(image_transform, backbone.input),
        "backbone": backbone.identity if backbone.weights == "none" else "network",
        **fit_key(head, transfer, trainer),
        "split": split.key_for(dataset.base or dataset.title),
    }


def fit_key(head: Head, transfer: Transfer, trainer: Trainer) -> dict[str, Any]:
    """What determines a fit, besides the clips, the device and the seed."""
    reads = head.reads | transfer.reads
    return {"head": head.key(), "transfer": transfer.key(), "trainer": trainer.key(reads)}


@dataclass(frozen=True)
class Outcome:
    """What a finished job has to show: accuracy in 0..1, test clips, seconds per stage, the run's tags.

    Attributes:
        correct: which test clips were right; None where a run that was there before has lost that artifact.
        known: whether the run was there before, so that nothing was computed.
    """

    run_id: str
    accuracy: float
    test_clips: int
    seconds: dict[str, float]
    tags: dict[str, str]
    correct: CorrectClips | None = None
    known: bool = False

    @classmethod
    def of(cls, run: RunRecord, store: Store) -> "Outcome":
        """The outcome of a run that finished before.

        Args:
            store: that holds the run.
        """
        seconds = {key.removeprefix("seconds/"): v for key, v in run.metrics.items() if key.startswith("seconds/")}
        clips = int(run.metrics["clips/test"])
        try:
            correct = CorrectClips(**json.loads(store.artifact(run.run_id, CORRECT)))
        except (UserError, ValueError, TypeError) as error:
            log.warning("run %s: no interval without its artifact %s (%s)", run.run_id, CORRECT, error)
            correct = None
        return cls(run.run_id, run.metrics["test/accuracy"], clips, seconds, run.tags, correct, known=True)


def run_experiment(experiment: Experiment, store: Store, *, force: bool, progress: Progress) -> Outcome:
    """Data, features, fit, test and log: one finished run in the store; the finished run itself where there is one.

    Args:
        force: read the dataset's files anew, and run it even so.

    Raises:
        UserError: data or settings do not allow it; a run already begun is FAILED with the reason.
    """
    _check(experiment)
    paths = experiment.paths
    place = Runtime(Path(paths.data), Path(paths.cache), experiment.workers, progress)
    contents = list_clips(experiment.dataset, place, anew=force)
    identity = experiment.identity(contents)
    tags = {
        **_tags(experiment, contents.dataset),
        "identity": identity,
        "cell": experiment.cell(contents),
        "settings": experiment.settings_digest,
        "data_digest": contents.digest(),
    }
    name = "-".join((tags["dataset"], tags["preprocess"], tags["backbone"], tags["head"], f"seed{experiment.seed}"))
    ledger = Ledger(store)
    with ledger.job(identity, force=force) as job:
        if job.known is not None:
            return Outcome.of(job.known, ledger.holder(job.known))
        with job.run(name, tags) as run:
            run.log(params=flat(experiment.settings))
            learned = learn(experiment, contents, place, run.lightning_logger())
            if learned.tuned is not None:
                from src.head.finetune import save

                with tempfile.TemporaryDirectory() as folder:
                    save(learned.tuned, Path(folder))
                    run.artifacts(Path(folder))
            card = _card(experiment, learned)
            correct = log_results(
                run, learned.material, learned.head, learned.seconds, experiment.settings, card, learned.crossed
            )
    return Outcome(run.run_id, correct.accuracy, len(correct.correct), learned.seconds, tags, correct)


@dataclass(frozen=True, eq=False)
class Learned:
    """A fitted head, the features it was fitted to, and what made them.

    Attributes:
        seconds: per stage, of features and of learning.
        tuned: the network that was trained with the head; None: it stayed as it was.
        crossed: where each fold tests in turn, what the folds' heads said; `head` was then fitted to all clips.
    """

    pipeline: FeaturePipeline
    material: LabelledFeatures
    head: FittedHead
    seconds: dict[str, float]
    tuned: "Tuned | None" = None
    crossed: CrossValidated | None = None


def learn(experiment: Experiment, contents: FileDigests, place: Runtime, logger: MetricLogger) -> Learned:
    """Features, a head fitted to them, and the network trained with it where that is asked for.

    Args:
        contents: the dataset's clips and their files.
        logger: takes the validation curve; of the network's training, where it is trained.

    Raises:
        UserError: the data or the settings do not allow it.
    """
    transfer = experiment.transfer
    material = prepare(experiment.dataset, contents, experiment.pipeline, experiment.split, place)
    start = time.perf_counter()
    crossed = _crossed(experiment, material) if experiment.split.pooled else None
    everything = replace(material, parts=["train"] * len(material.parts))  # for the model that a pooled run hands on
    head = _fit(
        experiment, material if crossed is None else everything, None if isinstance(transfer, FineTune) else logger
    )
    seconds = {**material.extraction.seconds, "fit": time.perf_counter() - start}
    learned = Learned(experiment.pipeline, material, head, seconds, crossed=crossed)
    if isinstance(transfer, FineTune):
        return _fine_tuned(experiment, transfer, contents, learned, place, logger)
    return learned


def _fit(experiment: Experiment, material: LabelledFeatures, logger: MetricLogger | None) -> FittedHead:
    return experiment.head.fit(
        material.examples("train"),
        material.examples("validation"),
        classes=len(material.dataset.classes),
        seed=experiment.seed,
        trainer=experiment.trainer,
        logger=logger,
    )


def _crossed(experiment: Experiment, material: LabelledFeatures) -> CrossValidated:
    """Each fold's clips as the head says that was fitted without them."""
    split, dataset = experiment.split, material.dataset
    probabilities = np.zeros((len(dataset.clips), len(dataset.classes)), np.float32)
    folds = [""] * len(dataset.clips)
    for name, run in zip(split.fold_names(dataset), split.runs(dataset), strict=True):
        of_fold = replace(material, parts=run.parts(dataset))
        head, tested = _fit(experiment, of_fold, None), of_fold.where("test")
        probabilities[tested] = head.predict_proba(material.extraction.features[tested])
        for i in tested:
            folds[i] = name
    return CrossValidated(probabilities, folds)


def _fine_tuned(
    experiment: Experiment,
    settings: FineTune,
    contents: FileDigests,
    begun: Learned,
    place: Runtime,
    logger: MetricLogger,
) -> Learned:
    """The network trained with the head, and its features of every clip."""
    from src.head.finetune import finetune
    from src.head.validation import log_validation

    start = time.perf_counter()
    tuned = finetune(
        settings, begun.pipeline, begun.material, begun.head,
        seed=experiment.seed, trainer=experiment.trainer, place=place, logger=logger,
    )  # fmt: skip
    tuning = time.perf_counter() - start
    pipeline = replace(begun.pipeline, backbone=tuned.network)
    material = prepare(experiment.dataset, contents, pipeline, experiment.split, place)
    log_validation(logger, tuned.head, material.examples("validation"), step=settings.steps)
    seconds = {**material.extraction.seconds, "fit": begun.seconds["fit"], "finetune": tuning}
    return Learned(pipeline, material, tuned.head, seconds, tuned)


def _check(experiment: Experiment) -> None:
    """Refuse what cannot be trained before a run begins."""
    if isinstance(experiment.transfer, FineTune):
        if experiment.split.pooled:
            raise UserError(
                f"split.fold=all with transfer=finetune: a network is trained for one fold at a time; sweep the "
                f"folds: -m split={experiment.split.name} 'split.fold=range({experiment.split.folds})'"
            )
        from src.head.finetune import tunable  # here: torch and Lightning take seconds

        tunable(experiment.pipeline.backbone)
        check_head(experiment.head)


def _card(experiment: Experiment, learned: Learned) -> ModelCard:
    durations = [facts.duration for facts in learned.material.extraction.facts]
    return ModelCard.of(
        learned.pipeline.key(),
        experiment.settled,
        learned.material.dataset.classes,
        learned.head.kind,
        trained=durations if learned.crossed else [durations[i] for i in learned.material.where("train")],
        every=durations,
        tuned=isinstance(experiment.transfer, FineTune),
    )


def _tags(experiment: Experiment, dataset: Dataset) -> dict[str, str]:
    backbone = experiment.pipeline.backbone
    spectrogram = experiment.pipeline.image_transform.spectrogram
    return {
        "dataset": dataset.name,
        "dataset_root": printable(dataset.root.resolve()),
        "preprocess": experiment.pipeline.image_transform.preprocess.name,
        "spectrogram": spectrogram.name if backbone.input == "picture" else "none",
        "backbone": backbone.name,
        "weights": backbone.weights,
        "head": experiment.head.name,
        "split": experiment.split.name,
        **({"fold": fold} if (fold := experiment.split.tested_fold(dataset)) else {}),
        **({"kind": "pooled"} if experiment.split.pooled else {}),
        "transfer": experiment.transfer.name,
        "seed": str(experiment.seed),
        "origin": dataset.origin,
        "provenance": dataset.provenance,
        "result_version": str(RESULT_VERSION),
        **provenance.code_tags(),
    }
