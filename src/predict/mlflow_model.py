"""The MLflow model: audio as base64 text in a column `audio`, the answers as a list of objects."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from src.config import build as configure
from src.data.waveform import Waveform
from src.errors import UserError
from src.features.pipeline import FeaturePipeline
from src.predict.request import MEGA, Answering, Limits
from src.predict.request_limits import guard_server
from src.tracking.checkpoint import Parts, TrainedModel, assemble
from src.tracking.store import RunRecord

log = logging.getLogger(__name__)

COLUMN = "audio"
FOLDER = "trained"
RUN = "run.json"
WEIGHTS = "weights.safetensors"


class Earsight(PythonModel):
    """A finished run behind MLflow's interface."""

    def load_context(self, context: PythonModelContext) -> None:
        """Load the model from its folder.

        Raises:
            UserError: it is damaged, or its features cannot be computed here as they were.
        """
        target = {"_target_": f"{Limits.__module__}.{Limits.__name__}"}
        limits = configure.build("limits", {**(context.model_config or {}), **target}, Limits)
        model = opened(Path(context.artifacts[FOLDER]), exact=limits.exact)
        _warm(model)
        self._answering = Answering(model, limits, configure.workers(None))
        guard_server(int(limits.request_mb * MEGA))
        log.info("%s: classes %s; run %s", model.run.name, ", ".join(model.classes), model.run.run_id)

    def predict(
        self, context: PythonModelContext, model_input: pd.DataFrame, params: Any = None
    ) -> list[dict[str, Any]]:
        """What the model says of each row's audio; see `Answering.answer`.

        Raises:
            MlflowException: the request is not one (status 400).
        """
        if COLUMN not in model_input.columns:
            raise MlflowException(f"expected a column {COLUMN!r} of audio files as base64 text", BAD_REQUEST)
        try:
            return self._answering.answer(list(model_input[COLUMN]))
        except UserError as error:
            raise MlflowException(str(error), BAD_REQUEST) from error


def _warm(model: TrainedModel) -> None:
    """Load the backbone's engine now and not with the first request; what it cannot do ends the server's start."""
    silence, backbone = Waveform(np.zeros((1, 8000), np.float32), 8000), model.pipeline.backbone
    source = silence if backbone.input == "waveform" else model.pipeline.image_transform.picture(silence)
    model.classify([backbone.prepare(source)])


def opened(folder: Path, *, exact: bool) -> TrainedModel:
    """The model that a folder holds; weights that lie in it are used, others are looked for as in training.

    Raises:
        UserError: as `tracking.checkpoint.load`.
    """

    def read(name: str) -> bytes:
        try:
            return (folder / name).read_bytes()
        except OSError as error:
            raise UserError(f"{folder / name}: cannot be read ({error.strerror})") from error

    def build(settings: Mapping[str, Any]) -> FeaturePipeline:
        backbone = dict(settings["backbone"])
        if (folder / WEIGHTS).exists():
            backbone["weights"] = str(folder / WEIGHTS)
        return configure.pipeline({**settings, "backbone": backbone, "workers": None}, folder)

    run = RunRecord(**json.loads(read(RUN)))
    return assemble(run, Parts.read(read), build, exact=exact)
