"""A network brought to whole numbers of 8 bits for OpenVINO, by NNCF's post-training quantisation.

Each weight becomes one of 255 steps, and so does each value between two layers. Which range those steps cover is
measured on a few pictures, and each layer's bias is moved by the mean error that the steps make there.
"""

import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from threading import Lock
from types import ModuleType
from typing import Any

import numpy as np
from jaxtyping import Float32

from src.backbone.telemetry import untold
from src.errors import UserError

log = logging.getLogger(__name__)

_CPU = Path("/proc/cpuinfo")
_VNNI = {"avx512_vnni", "avx_vnni", "amx_int8"}
_one_at_a_time = Lock()  # NNCF draws progress bars on a console that all threads share


def quantised(model: Any, inputs: Sequence[Float32[np.ndarray, "3 size size"]]) -> Any:
    """The same OpenVINO model in 8 bits; the same bits in every process and for any number of threads.

    Args:
        model: float32 (1, 3, size, size) -> (1, features); left as it is.
        inputs: to measure ranges on.

    Raises:
        UserError: NNCF cannot do this network.
    """
    start = time.perf_counter()
    with _one_at_a_time, _in_silence() as nncf:
        try:
            found = nncf.quantize(
                model,
                nncf.Dataset([each[None] for each in inputs]),
                subset_size=len(inputs),
                fast_bias_correction=False,  # measured: nearer to float32, for a few seconds more
            )
        except (nncf.InternalError, nncf.ValidationError, nncf.UnsupportedModelError, RuntimeError) as error:
            reason = str(error).strip().partition("\n")[0]
            raise UserError(
                f"backbone.precision: NNCF cannot bring this network to int8 ({reason}); use "
                "backbone.precision=bfloat16 or float32"
            ) from error
    log.info("calibrated for int8 in %.0f s", time.perf_counter() - start)
    return found


def adds_exactly() -> bool:
    """Whether this CPU sums products of 8 bits in 32: older ones do in 16, which overflow.

    Measured with the instructions switched off: the cosine to the exact sums' features is 0.97.
    """
    lines = _CPU.read_text().splitlines() if _CPU.exists() else []
    flags = next((line.partition(":")[2].split() for line in lines if line.startswith("flags")), [])
    return not _VNNI.isdisjoint(flags)


def quantiser() -> str:
    """What determines the steps besides network and pictures."""
    return f"nncf {version('nncf')}"


@contextmanager
def _in_silence() -> Iterator[ModuleType]:
    """NNCF, which neither reports its use nor writes to the terminal; its warnings come to our log."""
    nncf = _import_nncf()
    import rich

    console, compiler = rich.get_console(), logging.getLogger("torch.utils.cpp_extension")
    before, was_disabled = console.__dict__, compiler.disabled
    compiler.disabled = True  # remarks on a CUDA that is not needed
    # no terminal, or rich would catch what others write meanwhile
    rich.reconfigure(quiet=True, force_terminal=False)
    try:
        yield nncf
    finally:
        console.__dict__ = before
        compiler.disabled = was_disabled


def _import_nncf() -> ModuleType:
    """Import NNCF, and undo what it does to logging: a class for all loggers, and lines on the standard output."""
    kind = logging.getLoggerClass()
    try:
        with untold():
            import nncf
    finally:
        logging.setLoggerClass(kind)
    logger = logging.getLogger("nncf")
    logger.handlers.clear()
    logger.propagate = True
    logger.setLevel(logging.WARNING)
    found: ModuleType = nncf
    return found
