"""From a folder of audio to features, in this process, everything imported: the cold path without its start.

    python -m benchmarks.extraction FOLDER [WORKERS]

Writes the seconds: loading the network and its engine, decoding, pictures, features, and keeping them.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir

from benchmarks.commands import settings
from benchmarks.measuring import ROOT, cores
from src.backbone import frozen, openvino_engine
from src.config import build
from src.features.extract import Extraction, extract
from src.features.labelled import Runtime, list_clips
from src.spectrogram import asperes

# What is imported here is not counted: the libraries of pictures, of the network, and of the engine.
LIBRARIES = (asperes.__name__, frozen.__name__, openvino_engine.import_openvino().__name__)


def prepared(audio: Path, place: Path, workers: int) -> Callable[[], Extraction]:
    """Everything but the work, which the result does."""
    torch.set_num_threads(1)
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        cfg = compose("config", [*settings(audio, place), f"workers={workers}"])

    def work() -> Extraction:
        experiment = build.experiment(cfg, place)
        at = Runtime(Path(experiment.paths.data), Path(experiment.paths.cache), workers, lambda _: None)
        contents = list_clips(experiment.dataset, at)
        return extract(contents, experiment.pipeline, cache=at.cache, workers=workers)

    return work


def main() -> None:
    """Extract once and write the seconds."""
    workers = int(sys.argv[2]) if len(sys.argv) > 2 else cores()
    with tempfile.TemporaryDirectory() as place:
        work = prepared(Path(sys.argv[1]), Path(place), workers)
        start = time.perf_counter()
        found = work()
        sys.stdout.write(f"{time.perf_counter() - start:.3f} {len(found.clips)}\n")


if __name__ == "__main__":
    main()
