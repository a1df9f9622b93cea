"""Both networks on the CPU, in full and in reduced precisions, beside timm in torch as it comes: rows of `make bench`.

    python -m benchmarks.networks

`benchmarks.backbone` has more variants. Every one gets the same pictures and all cores, in turns; the fastest counts.
Torch has a process of its own, as it comes, and another that keeps its memory, in small batches: its best, which a
variable of the C library gives to those who know of it.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.backbone import cosine, spectrogram_like
from benchmarks.eager import BATCH, SMALL, Eager
from benchmarks.measuring import Row, cores, deliver, in_turns, per_second
from benchmarks.peak import peaks
from src.backbone.engine import CPUINFO, computes_bfloat16
from src.backbone.frozen import FrozenNetwork
from src.backbone.network import build
from src.backbone.vision import TimmBackbone
from src.backbone.weights import RANDOM

ROUNDS = 7
# name, weights, targets
NETWORKS = (
    ("inception_v3", RANDOM, {"float32": 2.7, "bfloat16": 5.0}),
    ("tf_efficientnet_lite0", None, {"float32": 8.0, "bfloat16": 13.0}),
)


def settings(model: str, weights: str | None) -> TimmBackbone:
    """A network as configured, on the CPU."""
    return TimmBackbone(model, weights, 0, "auto", "float32", "cpu", None, None, antialias=True)


def operations(vision: TimmBackbone) -> float:
    """Multiplications and additions for one picture."""
    network = build(vision.model, vision.weights, 0, None)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network.module(torch.zeros(1, 3, network.card.size, network.card.size))
    return float(counter.get_total_flops())


def is_invariant(network: FrozenNetwork, inputs: list[np.ndarray], together: np.ndarray) -> bool:
    """Whether each picture alone, all in one call, and over several threads give the same bits."""
    alone = np.concatenate([network.embed([each]) for each in inputs])
    return alone.tobytes() == network.embed(inputs).tobytes() == together.tobytes()


def loaded(vision: TimmBackbone, threads: int) -> dict[str, FrozenNetwork]:
    """A network in each precision that this CPU has."""
    precisions = ["float32", *(["bfloat16"] if computes_bfloat16(CPUINFO.read_text()) else [])]
    return {name: replace(vision, precision=name).load(None, threads) for name in precisions}


def rows(model: str, weights: str | None, targets: Mapping[str, float], peak: float) -> Iterator[Row]:
    """Speed, agreement and invariance of one network.

    Args:
        targets: by precision, times as fast as eager. peak: billions of float32 operations a second of this machine.
    """
    vision, threads = settings(model, weights), cores()
    networks = loaded(vision, threads)
    rng = np.random.default_rng(0)
    inputs = [networks["float32"].prepare(spectrogram_like(rng)) for _ in range(BATCH)]
    features: dict[str, np.ndarray] = {}

    def call(name: str) -> Callable[[], None]:
        run = networks[name].embed
        return lambda: features.update({name: run(inputs)})

    with (
        Eager(model, weights, inputs, threads) as plain,
        Eager(model, weights, inputs, threads, batch=SMALL, keeps_memory=True) as tuned,
    ):
        calls: dict[str, Callable[[], None]] = {"eager": plain.run, "tuned": tuned.run}
        calls |= {name: call(name) for name in networks}
        taken = dict(zip(calls, in_turns(list(calls.values()), ROUNDS), strict=True))
        features["eager"] = plain.features()
    speeds = {name: BATCH / times.best for name, times in taken.items()}
    yield from compared(model, networks, speeds, targets, peak / (operations(vision) / 1e9))
    yield from agreements(model, networks, features, inputs)


def compared(
    model: str,
    networks: Mapping[str, FrozenNetwork],
    speeds: Mapping[str, float],
    targets: Mapping[str, float],
    most: float,
) -> Iterator[Row]:
    """Pictures a second of each precision beside eager's, and of float32 beside the best that eager can be made.

    Args:
        speeds: pictures a second. most: pictures a second at the machine's peak in float32.
    """
    base, alike = speeds["eager"], f"{cores()} threads, {BATCH} pictures, best of {ROUNDS}"
    for name, network in networks.items():
        target, how = targets.get(name, 0.0), alike
        if name == "float32":
            how += f"; {speeds[name] / most:.0%} of this machine's peak"
        ours = f"{per_second(speeds[name])} ({network.identity['engine']})"
        sign = ">=" if target else ""
        yield Row(f"{model}, {name}", per_second(base), ours, speeds[name] / base, "x", sign, target, how)
    best, ours = speeds["tuned"], speeds["float32"]
    what = f"{model}, float32, beside eager that keeps its memory, batches of {SMALL}"
    yield Row(
        what, per_second(best), per_second(ours), ours / best, note="GLIBC_TUNABLES set as in benchmarks/eager.py"
    )


def agreements(
    model: str, networks: Mapping[str, FrozenNetwork], features: Mapping[str, np.ndarray], inputs: list[np.ndarray]
) -> Iterator[Row]:
    """How near each precision's features are to eager's, and whether they are the same however they are asked for."""
    for name, network in networks.items():
        near, what = cosine(features[name], features["eager"]), f"{model}, {name}"
        if name == "float32":
            yield Row(f"{what}: cosine to eager", "1", "smallest", near, "", ">=", 0.9999, f"{len(inputs)} pictures")
        else:
            yield Row(f"{what}: cosine to eager", "1", "smallest", near, "", note="an option, never by itself")
        same = is_invariant(network, inputs, features[name])
        yield Row(
            f"{what}: same bits alone, in a batch, over threads", "", "", float(same), "", ">=", 1, "1: all equal"
        )


def main() -> None:
    """All rows."""
    peak = max(peaks().values())
    torch.set_num_threads(1)
    deliver([row for network in NETWORKS for row in rows(*network, peak)])


if __name__ == "__main__":
    main()
