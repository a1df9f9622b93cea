"""A served model's limits and requests, as tests make them."""

import base64
import io
from dataclasses import replace

import numpy as np
import soundfile

from src.predict.mlflow_model import Limits

LIMITS = Limits(request_mb=1.0, clips=3, seconds=20.0, decoded_mb=8.0, exact=True)


def limits(**changes) -> Limits:
    return replace(LIMITS, **changes)


def encoded(samples: np.ndarray, rate: int = 8000, kind: str = "WAV") -> str:
    """An audio file as base64 text."""
    file = io.BytesIO()
    soundfile.write(file, samples, rate, format=kind)
    return base64.b64encode(file.getvalue()).decode()
