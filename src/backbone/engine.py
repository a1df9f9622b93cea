"""Which engine runs a frozen network: OpenVINO on a CPU, or torch on a CPU or a GPU.

On a CPU every clip goes through alone, on one thread, so that its features do not depend on the clips beside it and
several workers share nothing; OpenVINO needs no batch to be fast. On a GPU every batch has the same size (the last one
is filled up), for the same reason.
"""

import logging
from importlib.util import find_spec

import torch

from src.backbone.openvino_engine import OpenVino
from src.backbone.torch_engine import TorchCpu, TorchGpu
from src.errors import UserError

log = logging.getLogger(__name__)


Engine = OpenVino | TorchCpu | TorchGpu
Kind = type[OpenVino] | type[TorchCpu] | type[TorchGpu]


def choose(engine: str, precision: str, device: str) -> Kind:
    """The engine that a configuration means on this machine; the log says which.

    Args:
        engine: `openvino`, `torch`, or `auto`: openvino on a CPU where it is installed.
        precision: for the log.
        device: `cpu`, `cuda`, or `auto`: a GPU if torch sees one, unless the engine is openvino.

    Raises:
        UserError: what is asked for is not there.
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
    log.info("backbone engine: %s", ", ".join(kind.identity(precision).values()))
    return kind
