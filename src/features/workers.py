"""Prepare many items in worker processes, and embed them in batches meanwhile.

Preparing a clip is hundreds of short calls, between which threads wait for Python's lock; processes have one each.
"""

import ctypes
import logging
import multiprocessing
import os
import signal
import sys
import threading
import warnings
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Generic, TypeVar

from src.data.files import UnreadableAudio
from src.errors import UserError

log = logging.getLogger(__name__)

K = TypeVar("K")
T = TypeVar("T")
R = TypeVar("R")

MANY = 64
"""Fewer items than this are prepared by threads before processes have begun."""
_AHEAD = 4
"""Items under way for each worker: it never waits, and other processes that share the work find something left."""
_PR_SET_PDEATHSIG = 1


@contextmanager
def prepared(
    function: Callable[[T], R], items: Iterable[tuple[K, T]], *, workers: int, count: int, in_order: bool = False
) -> Iterator[Iterator[tuple[K, R | UnreadableAudio]]]:
    """Apply `function` to each item; an item that raises `UnreadableAudio` has the error as its result.

    Worker processes are forked, so that they begin at once with everything that is loaded, and die with this process.
    Threads do the work where items are few, where processes cannot be forked, and in threads of a server.

    Args:
        function: from an item's value to its result.
        items: keys and values, taken as workers come free.
        workers: processes or threads.
        count: about how many items there are.
        in_order: whether results come in the order of the items, or as they are ready.

    Raises:
        UserError: raised by `function`; or a worker process was killed.
    """
    results = _results(_Task(function), items, workers, count, in_order)
    try:
        yield results
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise UserError(
            "a worker process that prepared clips was killed, most likely because memory ran out; what is finished is "
            "kept. Run the same again, with workers=1 if memory is short"
        ) from error
    finally:
        results.close()


def in_batches(
    function: Callable[[list[R]], Sequence[T]], items: Iterable[tuple[K, R | UnreadableAudio]], size: int
) -> Iterator[tuple[K, T | UnreadableAudio]]:
    """Apply `function` to batches of at most `size` results, one batch at a time, while the next one is collected."""

    def apply(batch: list[tuple[K, R | UnreadableAudio]]) -> list[tuple[K, T | UnreadableAudio]]:
        usable = [value for _, value in batch if not isinstance(value, UnreadableAudio)]
        rows = iter(function(usable) if usable else ())
        return [(key, value if isinstance(value, UnreadableAudio) else next(rows)) for key, value in batch]

    source = iter(items)
    batches = iter(lambda: list(islice(source, size)), [])
    for rows in _by_threads(apply, batches, workers=1, ahead=1):
        yield from rows


@dataclass(frozen=True)
class _Task(Generic[T, R]):
    """The function as DataLoader calls it; errors for the user are values, since torch changes their messages."""

    function: Callable[[T], R]

    def __getitem__(self, item: tuple[K, T]) -> tuple[K, R | UserError]:
        key, value = item
        try:
            return key, self.function(value)
        except UserError as error:
            return key, error


def _results(
    task: _Task[T, R], items: Iterable[tuple[K, T]], workers: int, count: int, in_order: bool
) -> Generator[tuple[K, R | UnreadableAudio], None, None]:
    # a daemon may have no children, and torch watches over its workers from the main thread only
    may_fork = sys.platform == "linux" and not multiprocessing.current_process().daemon
    stream: Generator[tuple[K, R | UserError], None, None]
    if may_fork and threading.current_thread() is threading.main_thread() and workers > 1 and count >= MANY:
        stream = _by_processes(task, items, workers, in_order)
    else:
        stream = _by_threads(task.__getitem__, items, workers, _AHEAD * workers)
    try:
        for key, result in stream:
            if isinstance(result, UserError) and not isinstance(result, UnreadableAudio):
                raise result
            yield key, result
    finally:
        stream.close()


def _by_threads(function: Callable[[T], R], items: Iterable[T], workers: int, ahead: int) -> Generator[R, None, None]:
    """Results in the order of the items, at most `ahead` of them begun and not taken."""
    pool = ThreadPoolExecutor(workers)
    begun: deque[Future[R]] = deque()
    try:
        for item in items:
            if len(begun) >= ahead:
                yield begun.popleft().result()
            begun.append(pool.submit(function, item))
        while begun:
            yield begun.popleft().result()
    finally:
        pool.shutdown(cancel_futures=True)


def _by_processes(
    task: _Task[T, Any], items: Iterable[tuple[K, T]], workers: int, in_order: bool
) -> Generator[tuple[K, Any], None, None]:
    import torch  # here: where all features are cached, no one needs it
    from torch.utils.data import DataLoader

    with warnings.catch_warnings():  # as many workers as were asked for, not as torch suggests
        warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
        loader: DataLoader[Any] = DataLoader(
            task,  # type: ignore[arg-type]  # any object with __getitem__ will do
            batch_size=None,
            sampler=items,
            num_workers=workers,
            collate_fn=_unchanged,
            in_order=in_order,
            prefetch_factor=_AHEAD,
            worker_init_fn=partial(_die_with, os.getpid()),
            multiprocessing_context="fork",
            generator=torch.Generator(),  # without one it would draw a number from everybody's
        )
        results: Any = iter(loader)
    try:
        yield from results
    finally:
        # Left to itself it ends the processes when the last traceback that names it is gone.
        results._shutdown_workers()


def _unchanged(result: T) -> T:
    return result


def _die_with(parent: int, _: int) -> None:
    """In a worker process: let the system kill it when its parent dies, however that dies, and not before.

    A scheduler that ends a job signals all its processes; what is then kept and reported is for the parent to decide.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)
