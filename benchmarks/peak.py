"""The most float32 operations a second that this machine was seen to do, by several kernels: what anything can reach.

    python -m benchmarks.peak

A multiplication and an addition are two operations. A product of large matrices is the textbook's peak; convolutions
are what a network does, here without a margin, whose zeros an engine may skip, and each core by itself.
"""

import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn

from benchmarks.measuring import cores, in_turns
from src.backbone.openvino_engine import HINTS, converted, import_openvino

if TYPE_CHECKING:
    from openvino import InferRequest

_ROUNDS = 8
_LAYERS = 4
_WORK = 4e9  # operations of a call, on each core


def matrix_product(size: int) -> tuple[Callable[[], object], float]:
    """Torch's, and its operations."""
    a, b, out = (torch.rand(size, size) for _ in range(3))
    return lambda: torch.mm(a, b, out=out), 2.0 * size**3


def numpys(size: int) -> tuple[Callable[[], object], float]:
    """Numpy's matrix product."""
    a, b = (np.random.default_rng(0).random((size, size), np.float32) for _ in range(2))
    out = np.empty_like(a)
    return lambda: np.matmul(a, b, out=out), 2.0 * size**3


def convolution(channels: int, side: int, kernel: int) -> tuple[Callable[[], object], float]:
    """Layers of OpenVINO's, one after the other, the same on each core."""
    layers = [nn.Conv2d(channels, channels, kernel, bias=False) for _ in range(_LAYERS)]
    module = nn.Sequential(*layers).eval().requires_grad_(False)
    openvino = import_openvino()
    model = converted(openvino, module, (1, channels, side, side))
    options = {"INFERENCE_PRECISION_HINT": HINTS["float32"], "NUM_STREAMS": cores(), "INFERENCE_NUM_THREADS": cores()}
    compiled = openvino.Core().compile_model(model, "CPU", options)
    inputs = [np.random.default_rng(0).random((1, channels, side, side), np.float32)]
    pool = ThreadPoolExecutor(cores())
    sides = [side - (layer + 1) * (kernel - 1) for layer in range(_LAYERS)]
    work = 2.0 * sum(each**2 for each in sides) * channels**2 * kernel**2
    times = max(1, round(_WORK / work))

    def on_one(request: "InferRequest") -> None:
        for _ in range(times):
            request.infer(inputs, share_inputs=True)

    requests = [compiled.create_infer_request() for _ in range(cores())]
    return lambda: list(pool.map(on_one, requests)), work * times * cores()


def peaks() -> dict[str, float]:
    """Operations a second in billions (GFLOP/s), by kernel, on all cores."""
    torch.set_num_threads(cores())
    convolutions = {
        f"openvino, {kernel} x {kernel} convolutions of {channels}": convolution(channels, side, kernel)
        for kernel, channels, side in ((1, 256, 28), (3, 128, 36), (3, 256, 36), (5, 64, 51))
    }
    products = {f"torch, matrix product {size}": matrix_product(size) for size in (1024, 2048)}
    # One library after the other: threads that wait for more work take the other's time.
    return {**_speeds(products), **_speeds({"numpy, matrix product 2048": numpys(2048)}), **_speeds(convolutions)}


def _speeds(kernels: Mapping[str, tuple[Callable[[], object], float]]) -> dict[str, float]:
    taken = in_turns([call for call, _ in kernels.values()], _ROUNDS)
    return {name: work / times.best / 1e9 for (name, (_, work)), times in zip(kernels.items(), taken, strict=True)}


def main() -> None:
    """Write a line per kernel."""
    for name, speed in peaks().items():
        sys.stdout.write(f"{name:45} {speed:7.0f} GFLOP/s\n")


if __name__ == "__main__":
    main()
