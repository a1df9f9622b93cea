"""Libraries of OpenVINO's family report their use over the network; here they do not."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

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
