"""The MLflow model: audio files as base64 text in a column `audio`, the answers as a list of objects, within limits."""

import base64
import binascii
import json
import logging
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import BAD_REQUEST
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from src.config import build as configure
from src.data.audio import Header, UnreadableAudio, header
from src.data.waveform import Waveform
from src.errors import UserError
from src.features.pipeline import FeaturePipeline
from src.predict.decision import Decision
from src.predict.files import predictions
from src.predict.windows import Cutting, Failure
from src.predict.writers import as_object
from src.tracking.checkpoint import Parts, TrainedModel, assemble
from src.tracking.store import RunRecord

log = logging.getLogger(__name__)

COLUMN = "audio"
FOLDER = "trained"
RUN = "run.json"
WEIGHTS = "weights.safetensors"
_MEGA = 1_000_000


@dataclass(frozen=True)
class Limits:
    """Bounds of one request, and how strict the model is about its machine (conf/predict.yaml).

    Attributes:
        request_mb: characters of one file's base64 text, in millions.
        clips: audio files in it. seconds: their duration, all together.
        decoded_mb: samples of one window, decoded, in millions of bytes.
        exact: whether another engine or device than the run's keeps the model from being loaded.
    """

    request_mb: float
    clips: int
    seconds: float
    decoded_mb: float
    exact: bool

    def __post_init__(self) -> None:
        for name, value in asdict(self).items():
            if name != "exact" and not value > 0:
                raise UserError(f"limits.{name}={value:g}: expected more than 0")


class Answering:
    """A model that answers requests, from several threads at once."""

    def __init__(self, model: TrainedModel, limits: Limits, workers: int) -> None:
        """`workers`: threads for one request."""
        self._model, self._limits, self._workers = model, limits, workers
        self._cutting = Cutting.of(model.pipeline.window, model.card, start=None, window=None)

    def answer(self, texts: Sequence[object]) -> list[dict[str, Any]]:
        """Label, probabilities by class, start and end in seconds, of each file; windows where it has several.

        Args:
            texts: each a whole audio file (WAV, FLAC, OGG, MP3...) as base64 text.

        Raises:
            UserError: no text, no base64, no audio, or more than the limits; names the clip by its number from 0.
        """
        if len(texts) > self._limits.clips:
            raise UserError(f"{len(texts)} clips in one request; at most {self._limits.clips} are taken")
        with tempfile.TemporaryDirectory() as folder:
            paths = [Path(folder, f"clip {number}") for number in range(len(texts))]
            for path, text in zip(paths, texts, strict=True):
                path.write_bytes(self._decoded(path.name, text))
            self._check(paths)
            return self._answered(paths)

    def _decoded(self, name: str, text: object) -> bytes:
        if not isinstance(text, str):
            raise UserError(f"{name}: got {type(text).__name__}; expected an audio file as base64 text")
        if len(text) > self._limits.request_mb * _MEGA:
            raise UserError(f"{name}: longer than {self._limits.request_mb:g} million characters")
        try:
            found = base64.b64decode("".join(text.split()), validate=True)
        except (binascii.Error, ValueError) as error:
            raise UserError(f"{name}: not base64 ({error}); make it with: base64 -w0 FILE") from error
        if not found:
            raise UserError(f"{name}: empty; expected an audio file as base64 text")
        return found

    def _check(self, paths: Sequence[Path]) -> None:
        """Refuse what would take too long or too much memory, by the headers alone."""
        total = 0.0
        for path in paths:
            found = _header(path)
            total += found.seconds
            if total > self._limits.seconds:
                told = f"{path.name}: lasts {found.seconds:.0f} s" if len(paths) == 1 else f"{total:.0f} s of audio"
                raise UserError(f"{told}; at most {self._limits.seconds:g} s are taken in one request")
            longest = max(window.duration or found.seconds for window in self._cutting.windows(found.seconds))
            size = min(longest, found.seconds) * found.sample_rate * found.channels * 4
            if size > self._limits.decoded_mb * _MEGA:
                raise UserError(f"{path.name}: {size / _MEGA:.0f} million bytes decoded, more than is taken at a time")

    def _answered(self, paths: Sequence[Path]) -> list[dict[str, Any]]:
        found = []
        for one in predictions(paths, self._model, lambda _: self._cutting, workers=self._workers):
            if isinstance(one, Failure):
                raise UserError(one.reason.replace(str(one.path), one.path.name))
            found.append(as_object(one, Decision(self._model.classes)))
        return found


def _header(path: Path) -> Header:
    """A file's header; errors name the clip and not the file that it lies in for a moment."""
    try:
        return header(path)
    except UnreadableAudio as error:
        raise UserError(str(error).replace(str(path), path.name)) from error


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
