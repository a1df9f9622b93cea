"""What the tests of the renderer share."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import soundfile

Rendering = Callable[..., Path]


def manifest_of(folder: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return content


def samples_of(path: Path) -> tuple[np.ndarray, int]:
    samples, sample_rate = soundfile.read(path, dtype="float32")
    return samples, sample_rate
