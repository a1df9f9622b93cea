"""The most float32 operations a second that this machine was seen to do, by several kernels: what anything can reach.

    python -m benchmarks.peak

A multiplication and an addition are two operations. A product of large matrices is the textbook's peak; convolutions
are what a network does. Convolutions of 3 x 3 may exceed the arithmetic peak, as Winograd's algorithm needs fewer
multiplications than are counted here.
"""

import sys
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from benchmarks.measuring import cores, in_turns
from src.backbone.openvino_engine import HINTS, converted, import_openvino

_ROUNDS = 8


def matrix_product(size: int) -> tuple[Callable[[], object], float]:
    """Torch's, and its operations."""
    a, b, out = (torch.rand(size, size) for _ in range(3))
    return lambda: torch.mm(a, b, out=out), 2.0 * size**3


def numpys(size: int) -> tuple[Callable[[], object], float]:
    """Numpy's matrix product."""
    a, b = (np.random.default_rng(0).random((size, size), np.float32) for _ in range(2))
    out = np.empty_like(a)
    return lambda: np.matmul(a, b, out=out), 2.0 * size**3


def convolution(channels: int, side: int, kernel: int, precision: str) -> tuple[Callable[[], object], float]:
    """Four of OpenVINO's, one after the other."""
    layers = [nn.Conv2d(channels, channels, kernel, padding=kernel // 2, bias=False) for _ in range(4)]
    module = nn.Sequential(*layers).eval().requires_grad_(False)
    openvino = import_openvino()
    model = converted(openvino, module, (1, channels, side, side))
    options = {"INFERENCE_PRECISION_HINT": HINTS[precision], "NUM_STREAMS": 1, "INFERENCE_NUM_THREADS": cores()}
    request = openvino.Core().compile_model(model, "CPU", options).create_infer_request()
    inputs = [np.random.default_rng(0).random((1, channels, side, side), np.float32)]
    return lambda: request.infer(inputs, share_inputs=True), 2.0 * 4 * side**2 * channels**2 * kernel**2


def peaks() -> dict[str, float]:
    """Operations a second in billions (GFLOP/s), by kernel, on all cores."""
    torch.set_num_threads(cores())
    kernels = {f"torch, matrix product {size}": matrix_product(size) for size in (1024, 2048)}
    kernels["numpy, matrix product 2048"] = numpys(2048)
    for kernel, channels, side in ((1, 512, 56), (3, 128, 56), (3, 256, 28)):
        kernels[f"openvino, {kernel} x {kernel} convolution of {channels}"] = convolution(
            channels, side, kernel, "float32"
        )
    taken = in_turns([call for call, _ in kernels.values()], _ROUNDS)
    return {name: work / times.best / 1e9 for (name, (_, work)), times in zip(kernels.items(), taken, strict=True)}


def main() -> None:
    """Write a line per kernel."""
    for name, speed in peaks().items():
        sys.stdout.write(f"{name:45} {speed:7.0f} GFLOP/s\n")


if __name__ == "__main__":
    main()
