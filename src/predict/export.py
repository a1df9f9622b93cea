"""A finished run handed on as an MLflow model, and how to serve it."""

import sys
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

from omegaconf import DictConfig

from src.config import build as configure
from src.config import select_run
from src.predict.packing import keep, pack, register
from src.predict.request import Limits

_TOLD = """\
{what}: run {run} ({title}), classes {classes}
{size:.1f} MB in {place}

Serve it on this machine alone:
  {tracking}mlflow models serve --env-manager local --host 127.0.0.1 --port 5001 -m {model}
Ask it:
  (printf '{{"dataframe_split": {{"columns": ["audio"], "data": [["'; base64 -w0 CLIP.wav; printf '"]]}}}}') |
    curl -s http://127.0.0.1:5001/invocations -H 'Content-Type: application/json' --data-binary @-
"""


def hand_on(cfg: DictConfig) -> None:
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
        _TOLD.format(
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
