"""Export a finished run as an MLflow model: packed, stored with the run, registered; and how to serve it."""

import json
import re
import sys
import tempfile
import tomllib
import warnings
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlsplit

from omegaconf import DictConfig

from src.config import build as configure
from src.config import select_run
from src.errors import UserError
from src.head.transfer import NETWORK
from src.predict.mlflow_model import COLUMN, FOLDER, RUN, WEIGHTS, Limits
from src.tracking.checkpoint import CONFIG, HEAD, TrainedModel
from src.tracking.database import explained
from src.tracking.model_card import CARD
from src.tracking.store import Store

PLACE = "served"
_SOURCE = Path(__file__).resolve().parent.parent
_MESSAGE = """\
{what}: run {run} ({title}), classes {classes}
{size:.1f} MB in {place}

Serve it on this machine alone:
  {tracking}mlflow models serve --env-manager local --host 127.0.0.1 --port 5001 -m {model}
Ask it:
  (printf '{{"dataframe_split": {{"columns": ["audio"], "data": [["'; base64 -w0 CLIP.wav; printf '"]]}}}}') |
    curl -s http://127.0.0.1:5001/invocations -H 'Content-Type: application/json' --data-binary @-
"""


def export(cfg: DictConfig) -> None:
    """Store a run's model with the run, register it where a name is given, and say how to serve it.

    Raises:
        UserError: no such run or model, or the store does not take it.
    """
    limits = configure.build("limits", configure.plain_group(cfg, "limits"), Limits)
    store, model = select_run.store(cfg), select_run.open_model(cfg)
    with tempfile.TemporaryDirectory() as folder:
        packed = pack(model, store, Path(folder), limits)
        size = sum(path.stat().st_size for path in packed.rglob("*") if path.is_file())
        place = keep(packed, model, store)
    parts = urlsplit(place)
    served, tracking, what = parts.path if parts.scheme == "file" else place, "", "Stored"
    if parts.scheme not in ("", "file"):
        tracking = f"MLFLOW_TRACKING_URI={store.uri} "
    if cfg.name is not None:
        version = register(str(cfg.name), place, model, store)
        served, tracking = f"models:/{cfg.name}/{version}", f"MLFLOW_TRACKING_URI={store.uri} "
        what = f"Registered as {cfg.name}, version {version}"
    sys.stdout.write(
        _MESSAGE.format(
            what=what,
            run=model.run.run_id,
            title=model.run.name,
            classes=", ".join(model.classes),
            size=size / 1e6,
            place=place,
            tracking=tracking,
            model=served,
        )
    )


def pack(model: TrainedModel, store: Store, folder: Path, limits: Limits) -> Path:
    """Write the MLflow model into an empty folder; its path within.

    The run's settings, card and head, the backbone's weights (as safetensors, unless it has none or drew them from a
    seed), limits, the code as it is here, and the packages it was tested with.
    """
    import mlflow.pyfunc
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, DataType, Schema
    from mlflow.types.schema import Map

    held, packed = folder / FOLDER, folder / PLACE
    held.mkdir()
    names = [CONFIG, CARD, HEAD, *([NETWORK] if model.card.tuned else [])]
    for name in names:
        (held / name).write_bytes(store.artifact(model.run.run_id, name))
    (held / RUN).write_text(json.dumps(asdict(model.run), indent=1, ensure_ascii=False), "utf8")
    if not model.card.tuned:
        _write_weights(model, held / WEIGHTS)
    with warnings.catch_warnings():
        # MLflow would run the model on it
        warnings.filterwarnings("ignore", message=".*An input example was not provided")
        mlflow.pyfunc.save_model(
            packed,
            python_model=str(_SOURCE / "predict" / "mlflow_definition.py"),
            artifacts={FOLDER: str(held)},
            code_paths=[str(_SOURCE)],
            signature=ModelSignature(
                Schema([ColSpec("string", COLUMN)]),
                Schema(
                    [
                        ColSpec("string", "label"),
                        ColSpec(Map(DataType.double), "probabilities"),
                        ColSpec("double", "start"),
                        ColSpec("double", "end"),
                    ]
                ),
            ),
            pip_requirements=_requirements(),
            model_config=asdict(limits),
            metadata={
                "run_id": model.run.run_id,
                "commit": model.run.tags.get("git_commit", "unknown"),
                "versions": model.run.tags.get("versions", "unknown"),
                "classes": list(model.classes),
                "sample_rate": model.pipeline.window.sample_rate or "each file's own",
                "seconds": model.pipeline.window.duration or model.card.typical_seconds,
                "features": model.card.features,
            },
        )
    return packed


def keep(packed: Path, model: TrainedModel, store: Store) -> str:
    """Store a packed model with its run, over one that is there; where it is now, as a URI.

    Raises:
        UserError: the store does not take it.
    """
    with explained(store.uri, OSError):
        store.put(model.run.run_id, packed, PLACE)
    return f"{model.run.artifacts.rstrip('/')}/{PLACE}"


def register(name: str, place: str, model: TrainedModel, store: Store) -> str:
    """Enter a stored model into the registry as a new version of `name`; the version.

    Raises:
        UserError: the registry does not take the name.
    """
    from mlflow.exceptions import MlflowException

    with explained(store.uri):
        try:
            store.client.create_registered_model(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise UserError(f"name={name}: not taken by the registry ({error.message})") from error
        return str(store.client.create_model_version(name, place, model.run.run_id).version)


def _write_weights(model: TrainedModel, file: Path) -> None:
    """The backbone's weights, unless it has none or draws them from a seed."""
    from src.backbone.frozen import FrozenNetwork
    from src.backbone.state import write_safetensors
    from src.backbone.weights import RANDOM

    backbone = model.pipeline.backbone
    if isinstance(backbone, FrozenNetwork) and model.card.backbone["weights"] != RANDOM:
        # a copy, since an engine may have changed the network that it runs
        write_safetensors(backbone.copy().module, file)


def _requirements() -> list[str]:
    """The versions that this project needs and that are installed; MLflow would infer them itself, slowly."""
    project = tomllib.loads((_SOURCE.parent / "pyproject.toml").read_text("utf8"))["project"]
    names = [re.split(r"[^\w.-]", line)[0] for line in project["dependencies"]]
    return [f"{name}=={version(name)}" for name in names]
