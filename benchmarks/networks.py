"""Both networks on the CPU, in full and in reduced precision, beside timm in torch as it comes: rows of `make bench`.

    python -m benchmarks.networks

`benchmarks.backbone` has more variants. Every one gets the same pictures and all cores, in turns; the fastest counts.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.backbone import BATCH, Run, cosine, eager, spectrogram_like, workers
from benchmarks.measuring import Row, cores, deliver, in_turns, per_second
from src.backbone.frozen import FrozenNetwork
from src.backbone.network import build
from src.backbone.openvino_engine import import_openvino
from src.backbone.vision import Vision
from src.backbone.weights import RANDOM

ROUNDS = 7
# name, weights, targets in float32 and bfloat16
NETWORKS = (("inception_v3", RANDOM, 2.7, 5.0), ("tf_efficientnet_lite0", None, 8.0, 13.0))


def settings(model: str, weights: str | None) -> Vision:
    """A network as configured, on the CPU."""
    return Vision(model, weights, 0, "auto", "float32", "cpu", None, None, antialias=True)


def operations(vision: Vision) -> float:
    """Multiplications and additions for one picture."""
    network = build(vision.model, vision.weights, 0, None)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network.module(torch.zeros(1, 3, network.card.size, network.card.size))
    return float(counter.get_total_flops())


def is_invariant(network: FrozenNetwork, inputs: list[np.ndarray], together: np.ndarray) -> bool:
    """Whether each picture alone, all in one call, and over several threads give the same bits."""
    alone = np.concatenate([network.embed([each]) for each in inputs])
    return alone.tobytes() == network.embed(inputs).tobytes() == together.tobytes()


def rows(model: str, weights: str | None, full: float, reduced: float) -> Iterator[Row]:
    """Speed, agreement and invariance of one network."""
    vision = settings(model, weights)
    threads = cores()
    network = vision.load(workers=threads)
    rng = np.random.default_rng(0)
    inputs = [network.prepare(spectrogram_like(rng)) for _ in range(BATCH)]
    runs: dict[str, Run] = {"eager": eager(vision, threads, channels_last=False), "float32": workers(network, threads)}
    if "BF16" in import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        runs["bfloat16"] = workers(replace(vision, precision="bfloat16").load(workers=threads), threads)
    features: dict[str, np.ndarray] = {}

    def call(name: str) -> Callable[[], None]:
        return lambda: features.update({name: runs[name](inputs)})

    taken = dict(zip(runs, in_turns([call(name) for name in runs], ROUNDS), strict=True))
    base = BATCH / taken["eager"].best
    work = operations(vision) / 1e9
    for name, target in (("float32", full), ("bfloat16", reduced)):
        if name in taken:
            speed = BATCH / taken[name].best
            how = f"{threads} threads, {BATCH} pictures, best of {ROUNDS}; {work * speed:.0f} GFLOP/s"
            ours = f"{per_second(speed)} ({network.identity['engine']})"
            yield Row(f"{model}, {name}", per_second(base), ours, speed / base, "x", ">=", target, how)
    agreement = cosine(features["float32"], features["eager"])
    yield Row(f"{model}, float32: cosine to eager", "1", "smallest", agreement, "", ">=", 0.9999, f"{BATCH} pictures")
    same = is_invariant(network, inputs, features["float32"])
    yield Row(f"{model}: same bits alone, in a batch, over threads", "", "", float(same), "", ">=", 1, "1: all equal")
    if "bfloat16" in features:
        agreement = cosine(features["bfloat16"], features["eager"])
        yield Row(
            f"{model}, bfloat16: cosine to eager", "1", "smallest", agreement, "", note="an option, never by itself"
        )


def main() -> None:
    """All rows."""
    torch.set_num_threads(1)
    deliver([row for network in NETWORKS for row in rows(*network)])


if __name__ == "__main__":
    main()
