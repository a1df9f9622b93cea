"""Interrupts that wait for the end of what must not be cut in two."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_INTERRUPTS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """SIGINT and SIGTERM are handled at the end of the block; at a second one both are handled at once.

    For short work with a database: a library that is interrupted while it undoes a transaction may leave it open, and
    the database locked.
    """
    if threading.current_thread() is not threading.main_thread():  # signals are handled by the main thread
        yield
        return
    # None: a handler that was not installed by Python, and cannot be put back
    handlers = {number: handler for number in _INTERRUPTS if (handler := signal.getsignal(number)) is not None}
    held: list[int] = []

    def restore() -> None:
        for number, handler in handlers.items():
            signal.signal(number, handler)

    def hold(number: int, _: FrameType | None) -> None:
        held.append(number)
        if len(held) > 1:
            restore()
            try:
                signal.raise_signal(held[0])
            finally:
                signal.raise_signal(number)

    for number in handlers:
        signal.signal(number, hold)
    try:
        yield
    finally:
        restore()
        if len(held) == 1:
            signal.raise_signal(held[0])
