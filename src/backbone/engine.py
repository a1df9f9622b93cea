"""Which engine runs a frozen network: OpenVINO on a CPU, or torch on a CPU or a GPU.

On a CPU every clip goes through alone, on one thread, so that its features do not depend on the clips beside it and
several workers share nothing; OpenVINO needs no batch to be fast. On a GPU every batch has the same size (the last one
is filled up), for the same reason.
"""

import logging
from importlib.util import find_spec
from pathlib import Path

import torch

from src.backbone.openvino_engine import OpenVino
from src.backbone.torch_engine import TorchCpu, TorchGpu
from src.errors import UserError

log = logging.getLogger(__name__)

# Linux's names of the instructions that multiply bfloat16 numbers: AVX-512 and AMX on x86, bf16 on Arm
BFLOAT16_FLAGS = frozenset({"avx512_bf16", "amx_bf16", "bf16"})
CPUINFO = Path("/proc/cpuinfo")

Engine = OpenVino | TorchCpu | TorchGpu
Kind = type[OpenVino] | type[TorchCpu] | type[TorchGpu]


def choose(engine: str, precision: str, device: str) -> Kind:
    """The engine that a configuration means on this machine; the log says which.

    Args:
        engine: `openvino`, `torch`, or `auto`: openvino on a CPU where it is installed.
        precision: `float32` or `bfloat16`.
        device: `cpu`, `cuda`, or `auto`: a GPU if torch sees one, unless the engine is openvino.

    Raises:
        UserError: what is asked for is not there, or would only be emulated.
    """
    if device == "cuda" and not torch.cuda.is_available():
        raise UserError("backbone.device: got cuda, but torch sees no GPU here; use backbone.device=cpu, or auto")
    if engine == "openvino" and find_spec("openvino") is None:
        raise UserError(
            "backbone.engine: got openvino, which is not installed; pip install openvino, or use "
            "backbone.engine=torch (several times slower)"
        )
    kind: Kind
    if device == "cuda" or (device == "auto" and engine != "openvino" and torch.cuda.is_available()):
        kind = TorchGpu
    elif engine == "openvino" or (engine == "auto" and find_spec("openvino") is not None):
        kind = OpenVino
    else:
        kind = TorchCpu
    if precision == "bfloat16":
        _refuse_emulation(kind)
    log.info("backbone engine: %s", ", ".join(kind.identity(precision).values()))
    return kind


def batch_size(kind: Kind, workers: int) -> int:
    """Clips that `embed` is given at a time: a GPU's batch, or a few for each thread of a CPU."""
    return TorchGpu.batch_size if kind is TorchGpu else 4 * workers


def computes_bfloat16(cpuinfo: str) -> bool:
    """Whether a CPU has instructions for bfloat16. Without them libraries emulate it, more slowly than float32.

    OpenVINO itself reports BF16 for every CPU with AVX-512, although it emulates where AVX512_BF16 and AMX are missing.

    Args:
        cpuinfo: content of Linux's /proc/cpuinfo, on x86 or Arm.
    """
    lines = (line.partition(":") for line in cpuinfo.splitlines())
    flags = (value.split() for name, _, value in lines if name.strip() in ("flags", "Features"))
    return not BFLOAT16_FLAGS.isdisjoint(next(flags, []))


def _refuse_emulation(kind: Kind) -> None:
    """Refuse bfloat16 where it would be emulated.

    Raises:
        UserError: this CPU or GPU has no instructions for it.
    """
    if kind is TorchGpu:
        if not torch.cuda.is_bf16_supported(including_emulation=False):
            raise UserError(
                f"backbone.precision: got bfloat16, which {torch.cuda.get_device_name()} would only emulate, more "
                "slowly than float32 (GPUs of compute capability 8.0 and newer have it). Use backbone.precision=float32"
            )
    elif not computes_bfloat16(CPUINFO.read_text() if CPUINFO.exists() else ""):
        raise UserError(
            "backbone.precision: got bfloat16, which this CPU would only emulate, more slowly than float32: it has "
            f"none of the instructions {', '.join(sorted(BFLOAT16_FLAGS))}. Use backbone.precision=float32, or a "
            "machine or GPU that has them"
        )
