"""A frozen network run by torch: the reference on a CPU, and the fast way on a GPU."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from threading import Lock
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float32
from torch import Tensor, nn


class TorchCpu:
    """The module itself, clip by clip."""

    def __init__(self, module: nn.Module, shape: tuple[int, ...], precision: str, workers: int) -> None:
        """Takes what `OpenVino` takes; the module is changed in place."""
        self._module = _in_precision(module, precision)
        self._precision, self._workers = precision, workers

    @staticmethod
    def identity(precision: str) -> dict[str, str]:
        """What of the engine can change a feature's bits."""
        return {"engine": f"torch {version('torch')}", "device": "cpu", "precision": precision}

    def run(self, inputs: list[np.ndarray]) -> Float32[np.ndarray, "clips features"]:
        """Features of float32 inputs, each by itself."""
        with ThreadPoolExecutor(self._workers) as pool:
            return np.concatenate(list(pool.map(self._one, inputs)))

    def _one(self, image: Float32[np.ndarray, "..."]) -> Float32[np.ndarray, "1 features"]:
        # the last bits of a convolution depend on the number of its threads, which is torch's own global setting
        if torch.get_num_threads() != 1:
            torch.set_num_threads(1)
        with torch.inference_mode(), _autocast("cpu", self._precision):
            features: np.ndarray = self._module(_channels_last(torch.from_numpy(image)[None])).float().numpy()
        return features


class TorchGpu:
    """The module on a GPU, in batches that are all of one size."""

    batch_size: ClassVar[int] = 64

    def __init__(self, module: nn.Module, shape: tuple[int, ...], precision: str, workers: int) -> None:
        """Takes what `OpenVino` takes; the module is changed in place."""
        self._module = _in_precision(module, precision).cuda()
        self._precision = precision
        self._lock = Lock()
        self._staging = torch.zeros(self.batch_size, *shape, pin_memory=True)

    @staticmethod
    def identity(precision: str) -> dict[str, str]:
        """What of the engine can change a feature's bits."""
        return {
            "engine": f"torch {version('torch')}",
            "device": torch.cuda.get_device_name(),
            "precision": precision,
        }

    def run(self, inputs: list[np.ndarray]) -> Float32[np.ndarray, "clips features"]:
        """Features of float32 inputs, batch by batch.

        What the last batch lacks is filled up with what came before.
        """
        starts = range(0, len(inputs), self.batch_size)
        with self._lock:
            return np.concatenate([self._batch(inputs[start : start + self.batch_size]) for start in starts])

    def _batch(self, inputs: list[np.ndarray]) -> Float32[np.ndarray, "clips features"]:
        for row, each in zip(self._staging, inputs, strict=False):
            row.copy_(torch.from_numpy(each))
        with torch.inference_mode(), _exact(), _autocast("cuda", self._precision):
            features: np.ndarray = (
                self._module(_channels_last(self._staging.cuda()))[: len(inputs)].float().cpu().numpy()
            )
        return features


@contextmanager
def _exact() -> Iterator[None]:
    """Float32 means float32 (not TF32), and the same kernels every time."""
    before = torch.backends.cuda.matmul.allow_tf32
    torch.backends.cuda.matmul.allow_tf32 = False
    try:
        with torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False):
            yield
    finally:
        torch.backends.cuda.matmul.allow_tf32 = before


def _autocast(device: str, precision: str) -> torch.autocast:
    return torch.autocast(device, torch.bfloat16, enabled=precision == "bfloat16", cache_enabled=False)


def _in_precision(module: nn.Module, precision: str) -> nn.Module:
    """Channels last; for bfloat16 the weights of convolutions and linear layers are converted here, once."""
    if precision == "bfloat16":
        for part in module.modules():
            if isinstance(part, (nn.Conv2d, nn.Linear)):
                part.to(torch.bfloat16)
    converted: nn.Module = module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # no overload has it alone
    return converted


def _channels_last(batch: Tensor) -> Tensor:
    return batch.contiguous(memory_format=torch.channels_last) if batch.ndim == 4 else batch
