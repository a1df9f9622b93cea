"""A frozen network compiled by OpenVINO for this CPU."""

import sys
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from queue import SimpleQueue
from types import ModuleType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float32
from torch import nn

from src.errors import UserError

_REPORTERS = ("openvino_telemetry", "openvino_telemetry.backend")


@contextmanager
def untold() -> Iterator[None]:
    """What is imported within finds no telemetry package, and falls back to a stub of its own."""
    hidden = {name: sys.modules.get(name) for name in _REPORTERS}
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None makes an import fail
    try:
        yield
    finally:
        for name, module in hidden.items():
            if module is None:
                del sys.modules[name]
            else:
                sys.modules[name] = module


# Without a hint OpenVINO takes bfloat16 where the CPU has it.
HINTS = {"float32": "f32", "bfloat16": "bf16"}


class OpenVino:
    """One stream of one thread for each worker, batch 1, a fixed shape; converted in memory.

    Measured: the bits of a feature are the same for any number of streams.
    """

    def __init__(self, module: nn.Module, shape: tuple[int, ...], precision: str, workers: int) -> None:
        """Convert and compile.

        Args:
            module: frozen; float32 (1, *shape) -> (1, features).
            shape: of one input.
            precision: `float32` or `bfloat16`.
            workers: threads to use.

        Raises:
            UserError: OpenVINO cannot do this network, or not in this precision.
        """
        # The CPU plugin gives the thread that loads it a signal stack, and unmaps that stack when the plugin is freed.
        # If another thread frees it, or plugins are freed in the order they were loaded, the loading thread is left
        # with the address of the unmapped stack, and its next signal ends the process by SIGSEGV. So a thread that
        # handles no signals loads it, and ends.
        with ThreadPoolExecutor(1, "openvino") as loading:
            compiled = loading.submit(_compiled, module, shape, precision, workers).result()
        self._workers = workers
        self._idle: SimpleQueue[Any] = SimpleQueue()
        for _ in range(workers):
            self._idle.put(compiled.create_infer_request())

    @staticmethod
    def identity(precision: str) -> dict[str, str]:
        """What of the engine can change a feature's bits."""
        return {"engine": f"openvino {version('openvino')}", "device": "cpu", "precision": precision}

    def run(self, inputs: list[np.ndarray]) -> Float32[np.ndarray, "clips features"]:
        """Features of float32 inputs, each by itself.

        Several threads may call it, and share the workers.
        """
        with ThreadPoolExecutor(self._workers) as pool:
            return np.concatenate(list(pool.map(self._one, inputs)))

    def _one(self, image: Float32[np.ndarray, "channels ..."]) -> Float32[np.ndarray, "1 features"]:
        request = self._idle.get()
        try:
            request.infer([image[None]], share_inputs=True)
            features: np.ndarray = request.get_output_tensor(0).data.copy()
            return features
        finally:
            self._idle.put(request)


def _compiled(module: nn.Module, shape: tuple[int, ...], precision: str, workers: int) -> Any:
    """The module compiled for this CPU; see `OpenVino` for the arguments and errors."""
    openvino = import_openvino()
    core = openvino.Core()
    if precision == "bfloat16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise UserError(
            "backbone.precision: got bfloat16, which OpenVINO does not compute with on this CPU; use "
            "backbone.engine=torch, or backbone.precision=float32"
        )
    settings = {
        "INFERENCE_PRECISION_HINT": HINTS[precision],
        "NUM_STREAMS": workers,
        "INFERENCE_NUM_THREADS": workers,
        "ENABLE_CPU_PINNING": False,  # two processes would be pinned to the same cores
    }
    try:
        model = converted(openvino, module, (1, *shape))
        return core.compile_model(model, "CPU", settings)
    except RuntimeError as error:
        reason = str(error).strip().partition("\n")[0]
        raise UserError(
            f"backbone.engine: OpenVINO cannot run this network ({reason}); use "
            "backbone.engine=torch (several times slower)"
        ) from error


def import_openvino() -> ModuleType:
    """Import OpenVINO without its telemetry, which would report this very import over the network."""
    with untold():
        import openvino  # here: it may be missing, and must not be imported in any other way
    found: ModuleType = openvino
    return found


def converted(openvino: ModuleType, module: nn.Module, shape: tuple[int, ...]) -> Any:
    """The frozen module as an OpenVINO model whose input has always this shape."""
    example = torch.zeros(shape)

    def network(images: torch.Tensor) -> Any:
        """A function, because tracing one makes constants of the weights, which takes half the time of a module."""
        return module(images)

    with warnings.catch_warnings(), torch.no_grad():
        # torch would rather export, which gives the same bits and takes twice as long
        warnings.filterwarnings("ignore", message=r"`torch\.jit\.", category=DeprecationWarning)
        warnings.filterwarnings("ignore", category=torch.jit.TracerWarning)  # type: ignore[attr-defined]  # torch exports it unlisted
        traced = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]  # torch leaves it untyped
        return openvino.convert_model(traced, example_input=example, input=list(shape))
