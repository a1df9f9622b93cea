"""Clips up to the backbone's input: decoded, drawn and scaled, in threads or in worker processes.

A picture is hundreds of short calls, between which threads wait for Python's lock; processes have one each.
"""

import ctypes
import multiprocessing
import os
import signal
import sys
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Protocol, TypeVar, cast

import numpy as np

from src.data.audio import UnreadableAudio
from src.data.clip import Clip
from src.errors import UserError
from src.features.pipeline import FeaturePipeline, Timer
from src.features.render_stats import ClipStats

if TYPE_CHECKING:
    from torch.utils.data.dataloader import _MultiProcessingDataLoaderIter

T = TypeVar("T")
R = TypeVar("R")

# Clips on their way to each worker process: enough that it never waits, few enough that others who share the work
# find something left.
_ON_THEIR_WAY = 4
# How long a share of the processors is waited for. A process that was killed may never give its own back.
_PATIENCE = 1.0
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, eq=False)
class Prepared:
    """A clip ready for the backbone, or why it is not.

    Attributes:
        value: what the backbone's `embed` takes; None: the clip cannot be used. stats: of the clip, where it can.
        reason: message, where it cannot. seconds: per stage.
    """

    digest: str
    clip: Clip
    value: np.ndarray | None
    stats: ClipStats | None
    reason: str
    seconds: dict[str, float]


def prepare(pipeline: FeaturePipeline, digest: str, clip: Clip) -> Prepared:
    """One clip; what is wrong with its file is told, not raised."""
    timer = Timer()
    try:
        value, stats = pipeline.prepare(clip.path, timer)
    except UnreadableAudio as error:
        return Prepared(digest, clip, None, None, str(error), timer.seconds)
    return Prepared(digest, clip, value, stats, "", timer.seconds)


class Semaphore(Protocol):
    """What `WorkerPool` count the processors in use with: a semaphore that threads and processes have in common."""

    def acquire(self, block: bool = True, timeout: float | None = None) -> bool:
        """Take one; False: none came free in time."""
        ...

    def release(self) -> None:
        """Give it back."""
        ...


class WorkerPool:
    """Worker processes that prepare clips while the caller's threads run the backbone, on about `count` processors.

    They are forked, so that they begin at once, with everything that is loaded here; and they die with this process.
    """

    def __init__(self, count: int) -> None:
        """None is started yet.

        Raises:
            OSError: this system has no semaphores for processes to share.
        """
        self.count = count
        self._context = multiprocessing.get_context("fork")
        # One more than there are: while work changes hands none stands idle (an eighth faster on two).
        self._processors: Semaphore = self._context.Semaphore(count + 1)

    @staticmethod
    def can_be_had() -> bool:
        """Whether processes may be forked here: on Linux, from a process that may have any."""
        return sys.platform == "linux" and not multiprocessing.current_process().daemon

    @contextmanager
    def processor(self) -> Iterator[None]:
        """One of the processors, for the duration of some work."""
        taken = self._processors.acquire(timeout=_PATIENCE)
        try:
            yield
        finally:
            if taken:
                self._processors.release()

    def prepared(self, pipeline: FeaturePipeline, clips: Iterable[tuple[str, Clip]]) -> Iterator[Prepared]:
        """The clips as they are ready, in any order.

        Raises:
            UserError: a spectrogram refuses what it is to draw.
            RuntimeError: a worker process was killed; see `killed_told`.
        """
        ready = self._begun(pipeline, clips)
        try:
            for prepared in ready:
                if isinstance(prepared, UserError):
                    raise prepared
                yield prepared
        finally:
            # Left to itself it ends the processes when the last traceback that names it is gone.
            ready._shutdown_workers()

    def _begun(self, pipeline: FeaturePipeline, clips: Iterable[tuple[str, Clip]]) -> "_MultiProcessingDataLoaderIter":
        import torch  # here: where all features are cached, no one needs it
        from torch.utils.data import DataLoader

        with warnings.catch_warnings():  # as many workers as were asked for, not as torch suggests
            warnings.filterwarnings("ignore", message="This DataLoader will create", category=UserWarning)
            loader: DataLoader[Prepared | UserError] = DataLoader(
                _Clips(pipeline, self),  # type: ignore[arg-type]  # any object with __getitem__ will do
                batch_size=None,
                sampler=clips,
                num_workers=self.count,
                collate_fn=_as_it_is,
                in_order=False,
                prefetch_factor=_ON_THEIR_WAY,
                worker_init_fn=partial(_die_with, os.getpid()),
                multiprocessing_context=self._context,
                generator=torch.Generator(),  # without one it would draw a number from everybody's
            )
            return cast("_MultiProcessingDataLoaderIter", iter(loader))


@dataclass(frozen=True)
class _Clips:
    """As a worker process sees them: by (digest, clip)."""

    pipeline: FeaturePipeline
    hands: WorkerPool

    def __getitem__(self, item: tuple[str, Clip]) -> Prepared | UserError:
        try:
            with self.hands.processor():
                return prepare(self.pipeline, *item)
        except UserError as error:
            return error


def _as_it_is(prepared: T) -> T:
    return prepared


def _die_with(parent: int, _: int) -> None:
    """In a worker process: let the system kill it when its parent dies, however that dies, and not before.

    A scheduler that ends a job tells all its processes; what is then kept, and said, is the parent's to decide.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


@contextmanager
def killed_told() -> Iterator[None]:
    """The death of a worker process in words: torch tells of it anywhere in the main thread, by a RuntimeError.

    Raises:
        UserError: one was killed.
    """
    try:
        yield
    except RuntimeError as error:
        if not str(error).startswith("DataLoader worker"):
            raise
        raise UserError(
            "a worker process that prepared clips was killed, most likely because memory ran out; what is finished is "
            "kept. Run the same again, with workers=1 if memory is short"
        ) from error


def in_flight(work: Callable[[T], R], items: Iterable[T], workers: int, limit: Callable[[], int]) -> Iterator[R]:
    """Results of `work` over threads in the order they finish, at most `limit()` begun and not taken."""
    pool = ThreadPoolExecutor(workers)
    futures: set[Future[R]] = set()
    try:
        for item in items:
            while len(futures) >= limit():
                ready, futures = wait(futures, return_when=FIRST_COMPLETED)
                yield from _results(ready)
            futures.add(pool.submit(work, item))
        while futures:
            ready, futures = wait(futures, return_when=FIRST_COMPLETED)
            yield from _results(ready)
    finally:
        pool.shutdown(cancel_futures=True)


def _results(futures: Collection[Future[R]]) -> Iterator[R]:
    return (future.result() for future in futures)
