"""A finished run as something that classifies."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float32

from src.features.pipeline import FeaturePipeline
from src.head import FittedHead
from src.tracking.model_card import ModelCard
from src.tracking.store import RunRecord


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
        """Probabilities of prepared clips (`pipeline.prepare(path, timer)[0]`, or `pipeline.backbone.prepare`).

        May be called from several threads at once where the backbone's `batch_size` is 1, else from one only.
        """
        backbone = self.pipeline.backbone
        starts = range(0, len(inputs), backbone.batch_size)
        rows = [backbone.embed(inputs[start : start + backbone.batch_size]) for start in starts]
        features = np.concatenate(rows) if rows else np.zeros((0, len(backbone.feature_names)), np.float32)
        return self.head.predict_proba(features)
