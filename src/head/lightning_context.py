"""What a fit inside Lightning must not change around it: signals, logs, warnings, threads."""

import logging
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

import torch
from pytorch_lightning.utilities.exceptions import SIGTERMException


@contextmanager
def quiet() -> Iterator[None]:
    """Without Lightning's remarks on devices, tips and the end of the fit."""
    loggers = [logging.getLogger(name) for name in ("pytorch_lightning", "lightning_fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="GPU available but not used")
            # torch deprecated a class that Lightning still asks for
            warnings.filterwarnings("ignore", message=".*LeafSpec.* is deprecated", category=FutureWarning)
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@contextmanager
def threads(count: int) -> Iterator[None]:
    """With this many CPU threads within torch's operations."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def honest_signals() -> Iterator[None]:
    """Ctrl-C leaves as KeyboardInterrupt, SIGTERM as exit status 143.

    Lightning turns Ctrl-C into SystemExit(1) with further ones ignored, and a SIGTERM that nobody handles into exit
    status 0 at the end of the block.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    if handlers[signal.SIGTERM] == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):
            raise error.__context__ from None
        if isinstance(error, SIGTERMException):
            raise SystemExit(128 + signal.SIGTERM) from error
        raise
    finally:
        for number, handler in handlers.items():
            if handler is not None:
                signal.signal(number, handler)


def _terminate(number: int, _: FrameType | None) -> None:
    raise SystemExit(128 + number)
