"""Pictures per second of each engine against plain timm in torch, and how closely their features agree.

    python -m benchmarks.backbone --model tf_efficientnet_lite0 --threads 2 --rounds 5

Every variant gets the same pictures, already squashed, and the same number of threads. The rounds are interleaved and
the fastest of each variant counts, so that a disturbance from elsewhere on the machine does not look like a property
of one of them. Speed does not depend on the weights, which are random except where the installation brings them.
"""

import argparse
import atexit
import logging
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch

from benchmarks.eager import BATCH, SMALL, Eager
from src.backbone.engine import CPUINFO, computes_bfloat16
from src.backbone.network import build
from src.backbone.openvino_engine import HINTS, converted, import_openvino
from src.backbone.vision import TimmBackbone
from src.backbone.weights import RANDOM

log = logging.getLogger("benchmark")

Run = Callable[[list[np.ndarray]], np.ndarray]


@dataclass
class Variant:
    """One way to compute features, its best speed so far, and its features."""

    name: str
    run: Run
    start_up: float
    speed: float = 0.0
    features: np.ndarray | None = None


def spectrogram_like(rng: np.random.Generator) -> np.ndarray:
    """A grey picture of 120 bands x 1200 frames: notes with harmonics that decay, over a noise floor."""
    picture = rng.normal(60, 12, (120, 1200))
    for onset in rng.integers(0, 1150, 40):
        lowest, length = rng.uniform(3, 20), int(rng.integers(20, 200))
        decay = np.exp(-np.arange(min(length, 1200 - onset)) / (length / 3))
        for harmonic in range(1, 9):
            band = int(40 * np.log2(lowest * harmonic) - 40)
            if 0 <= band < 120:
                picture[119 - band, onset : onset + decay.size] += 150 / harmonic**0.5 * decay
    return picture.clip(0, 255).astype(np.uint8)


def eager(settings: TimmBackbone, inputs: list[np.ndarray], threads: int, **kind: Any) -> Run:
    """Timm in torch, in a process of its own, until this one ends."""
    process = Eager(settings.model, settings.weights, inputs, threads, **kind)
    atexit.register(process.close)

    def run(_: list[np.ndarray]) -> np.ndarray:
        process.run()
        return process.features()

    return run


def openvino_batch(settings: TimmBackbone, size: int, threads: int) -> Run:
    """OpenVINO with batches of 32 and all threads on each: what batch 1 per thread must not be slower than."""
    module = build(settings.model, settings.weights, 0, None).module
    openvino = import_openvino()
    model = converted(openvino, module, (BATCH, 3, size, size))
    options = {
        "INFERENCE_PRECISION_HINT": HINTS[settings.precision],
        "NUM_STREAMS": 1,
        "INFERENCE_NUM_THREADS": threads,
    }
    request = openvino.Core().compile_model(model, "CPU", options).create_infer_request()

    def run(inputs: list[np.ndarray]) -> np.ndarray:
        rows = []
        for i in range(0, len(inputs), BATCH):
            request.infer([np.stack(inputs[i : i + BATCH])], share_inputs=True)
            rows.append(request.get_output_tensor(0).data.copy())
        return np.concatenate(rows)

    return run


def variants(settings: TimmBackbone, threads: int) -> tuple[list[Variant], list[np.ndarray]]:
    """All variants, each run once on the pictures, and the pictures."""
    reference = settings.load(workers=threads)
    rng = np.random.default_rng(0)
    inputs = [reference.prepare(spectrogram_like(rng)) for _ in range(BATCH)]
    size = inputs[0].shape[-1]
    bfloat16 = replace(settings, precision="bfloat16")
    makers: dict[str, Callable[[], Run]] = {
        "timm eager, batch 32": lambda: eager(settings, inputs, threads),
        "timm channels_last, batch 32": lambda: eager(settings, inputs, threads, channels_last=True),
        "timm eager, batch 8": lambda: eager(settings, inputs, threads, batch=SMALL),
        "timm eager, memory kept, batch 32": lambda: eager(settings, inputs, threads, keeps_memory=True),
        "timm eager, memory kept, batch 8": lambda: eager(settings, inputs, threads, batch=SMALL, keeps_memory=True),
        "torch float32": lambda: replace(settings, engine="torch").load(workers=threads).embed,
        "torch bfloat16": lambda: replace(bfloat16, engine="torch").load(workers=threads).embed,
        "openvino float32, batch 32": lambda: openvino_batch(settings, size, threads),
        "openvino float32": lambda: replace(settings, engine="openvino").load(workers=threads).embed,
        "openvino bfloat16, batch 32": lambda: openvino_batch(bfloat16, size, threads),
        "openvino bfloat16": lambda: replace(bfloat16, engine="openvino").load(workers=threads).embed,
    }
    if not computes_bfloat16(CPUINFO.read_text()):
        makers = {name: make for name, make in makers.items() if "bfloat16" not in name}
    found = []
    for name, make in makers.items():
        start = time.perf_counter()
        run = make()
        run(inputs if "batch" in name else inputs[:1])
        found.append(Variant(name, run, time.perf_counter() - start))
        found[-1].features = run(inputs)
    return found, inputs


def cosine(a: np.ndarray, b: np.ndarray) -> float:
    """The smallest cosine between two rows of features."""
    a, b = a.astype(np.float64), b.astype(np.float64)
    return float(((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)).min())


def main() -> None:
    """Measure, and write a table."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="tf_efficientnet_lite0", help="timm's name of the network")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    logging.getLogger("src").setLevel(logging.WARNING)
    torch.set_num_threads(1)
    weights = None if asked.model == "tf_efficientnet_lite0" else RANDOM
    settings = TimmBackbone(asked.model, weights, 0, "auto", "float32", "cpu", None, None, antialias=True)
    found, inputs = variants(settings, asked.threads)
    for _ in range(asked.rounds):
        for variant in found:
            start = time.perf_counter()
            variant.run(inputs)
            variant.speed = max(variant.speed, len(inputs) / (time.perf_counter() - start))
    base = found[0]
    log.info("%s, %d threads, best of %d rounds of %d pictures", asked.model, asked.threads, asked.rounds, len(inputs))
    log.info("%-32s %10s %7s %10s %12s", "", "pictures/s", "ratio", "cosine", "start-up, s")
    for variant in found:
        columns = variant.speed, variant.speed / base.speed, cosine(variant.features, base.features), variant.start_up
        log.info("%-32s %10.1f %7.2f %10.7f %12.2f", variant.name, *columns)


if __name__ == "__main__":
    main()
