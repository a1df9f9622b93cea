"""A finished run's model: read back exactly, or an error that names what differs."""

import json
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import safetensors.numpy
import yaml
from jaxtyping import Float32

from src.errors import UserError
from src.features.pipeline import FeaturePipeline
from src.head import FittedHead, load_head
from src.head.transfer import NETWORK
from src.tracking.model_card import CARD, ModelCard, differences
from src.tracking.store import RunRecord, Store


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """FeaturePipeline and head of a finished run; the same clip gives the probabilities stored with the run.

    Attributes:
        classes: in the order of the head's outputs.
        settings: the run's resolved configuration. card: what the run says of its model.
    """

    run: RunRecord
    pipeline: FeaturePipeline
    head: FittedHead
    classes: tuple[str, ...]
    settings: dict[str, Any]
    card: ModelCard

    def classify(self, inputs: list[np.ndarray]) -> Float32[np.ndarray, "clips classes"]:
        """Probabilities of prepared clips (`pipeline.prepare(path).value`, or `pipeline.backbone.prepare`)."""
        return self.head.predict_proba(self.embed(inputs))

    def embed(self, inputs: list[np.ndarray]) -> Float32[np.ndarray, "clips features"]:
        """Features of prepared clips."""
        backbone = self.pipeline.backbone
        starts = range(0, len(inputs), backbone.batch_size)
        rows = [backbone.embed(inputs[start : start + backbone.batch_size]) for start in starts]
        return np.concatenate(rows) if rows else np.zeros((0, len(backbone.feature_names)), np.float32)


log = logging.getLogger(__name__)

Build = Callable[[dict[str, Any]], FeaturePipeline]

CONFIG = "config.yaml"
HEAD = "head.safetensors"
# What changes the last digits of a feature, and never what it means.
_INEXACT = {"backbone.engine", "backbone.device"}


@dataclass(frozen=True, eq=False)
class Parts:
    """What a run stores of its model.

    Attributes:
        settings: the run's resolved configuration. head: arrays of the fitted head.
        network: content of the fine-tuned network's file; None: the run has none of its own.
    """

    settings: dict[str, Any]
    card: ModelCard
    head: dict[str, np.ndarray]
    network: bytes | None = None

    @classmethod
    def read(cls, read: Callable[[str], bytes]) -> "Parts":
        """From files by name.

        Raises:
            UserError: one is missing or damaged.
        """
        card = ModelCard.read(read(CARD))
        try:
            head = dict(safetensors.numpy.load(read(HEAD)))
        except safetensors.SafetensorError as error:
            raise UserError(f"{HEAD}: damaged ({error})") from error
        settings = yaml.safe_load(read(CONFIG))
        return cls(settings, card, head, read(NETWORK) if card.tuned else None)


def load(run: RunRecord, store: Store, build: Build, *, exact: bool = True) -> TrainedModel:
    """The model of a finished run.

    Args:
        build: from a resolved configuration to the pipeline, the backbone loaded.
        exact: whether another engine, version or device than the run's is an error; else it is a warning.

    Raises:
        UserError: the run did not finish, holds no model, or its backbone is not the one to be had here.
    """
    if run.status != "FINISHED":
        raise UserError(f"run {run.run_id}: it is {run.status}; only a finished run has a model")
    return assemble(run, Parts.read(lambda name: store.artifact(run.run_id, name)), build, exact=exact)


def assemble(run: RunRecord, parts: Parts, build: Build, *, exact: bool = True) -> TrainedModel:
    """The model of stored parts; see `load`."""
    card = parts.card
    if parts.network is None:
        pipeline = build({**parts.settings, "backbone": dict(card.backbone)})
    else:
        from src.head.finetune import restored

        # the weights that the tuning began with are not needed, and may not be at hand
        pipeline = build({**parts.settings, "backbone": {**card.backbone, "weights": "random"}})
        pipeline = restored(pipeline, parts.network, run.tags.get("weights", ""))
    _check(run, differences(card.features, pipeline.key()), exact=exact)
    return TrainedModel(run, pipeline, load_head(card.head, parts.head), card.classes, parts.settings, card)


def _check(run: RunRecord, found: dict[str, tuple[Any, Any]], *, exact: bool) -> None:
    if not found:
        return
    pairs = ((name, _text(had), _text(has)) for name, (had, has) in found.items())
    listed = "; ".join(f"{name}: the run had {had}, here it is {has}" for name, had, has in pairs)
    if not exact and set(found) <= _INEXACT:
        log.warning("run %s: %s; probabilities may differ in their last digits", run.run_id, listed)
        return
    if "backbone.weights" in found:
        way_out = "The weights are others: give the file that the run had with weights_file=PATH"
    elif set(found) <= _INEXACT:
        way_out = "Use the run's engine and device, or accept other last digits with exact=false"
    else:
        commit = run.tags.get("git_commit", "unknown")
        way_out = f"Use the code that made the run (commit {commit}), or run it again with force=true"
    raise UserError(f"run {run.run_id}: its features cannot be computed here as they were. {listed}. {way_out}")


def _text(value: Any) -> str:
    return "absent" if value is None else value if isinstance(value, str) else json.dumps(value)
