"""How every entry point starts and ends: overrides that parse, errors a person can read, an honest exit status."""

import atexit
import gc
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import NoReturn

from src.cli import overrides, terminal
from src.errors import redact

TRACKING_URI = "EARSIGHT_TRACKING_URI"
"""Environment variable that conf/tracking/embedded.yaml reads; the place for an address with a password."""

_MOMENT = 0.01  # seconds
# Signals received since `run` was called. Not an attribute of the exception: libraries that catch it raise another.
_received: list[signal.Signals] = []


def launch(job: Callable[[], object], finish: Callable[[], bool] | None = None) -> NoReturn:
    """Run a Hydra application and end the process with its exit status; see `run`."""
    status = 1

    def end() -> None:
        """End the process without Python's own end.

        That would free every object first, which takes seconds after large imports. And it would end the process by
        SIGINT, whatever the status, if a KeyboardInterrupt has ever left code given to `exec` as text, even one handled
        later. Libraries define classes by such code while they are imported.
        """
        logging.shutdown()
        for stream in (sys.stdout, sys.stderr):
            with suppress(OSError):  # its reader closed the pipe
                stream.flush()
        os._exit(status)

    atexit.register(end)  # exit handlers run in reverse order, so those of the libraries to come run before
    status = run(job, finish)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: os._exit(status))
    sys.exit(status)


def run(job: Callable[[], object], finish: Callable[[], bool] | None = None) -> int:
    """Run a Hydra application.

    Args:
        job: the function that `hydra.main` made.
        finish: called after the job, even if that failed: prints a summary, returns whether all went well.

    Returns:
        The exit status: 1 where something failed, 2 where the command line cannot be read, 130 or 143 when interrupted.
    """
    from hydra.errors import HydraException

    terminal.guard_streams()
    hide_password()
    overrides.register_resolver()
    problem = overrides.unreadable(sys.argv[1:])
    if problem is not None:
        sys.stderr.write(problem)
        return 2
    # Imports make 700,000 objects that stay. With Python's default of 700 they are looked at so often for garbage that
    # it takes a sixth of the time of a small job; with this, a sixteenth.
    gc.set_threshold(20_000)
    status = 0
    # Hydra then raises what it would print, with a traceback even where the disk is full.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    with _interruptible():
        try:
            job()
        except KeyboardInterrupt:
            status = _interrupted()
        except HydraException as error:
            sys.stderr.write("".join(f"{text}\n" for text in (error, error.__cause__) if text is not None))
            sys.stderr.write(overrides.mistyped(sys.argv[1:]))
            status = 1
        except BrokenPipeError:
            silence()
        except OSError as error:
            from src.tracking.database import folder_trouble

            sys.stderr.write(f"{folder_trouble(Path(os.fsdecode(error.filename or os.curdir)), error)}\n")
            status = 1
        except SystemExit as ended:  # Hydra, after it printed what a launcher raised
            status = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
        except Exception:
            traceback.print_exc()
            status = 1
        try:
            if finish is not None and not finish() and status == 0:
                status = 1
        except KeyboardInterrupt:
            status = _interrupted()
    return 128 + _received[0] if _received else status  # also if a library swallowed the interrupt


def hide_password() -> None:
    """Move a tracking address with a password from the command line into the environment.

    Hydra writes the command line into several files, and launchers hand it to other processes: both then hold the
    variable's name instead.
    """
    for i, word in enumerate(sys.argv):
        key, _, value = word.partition("=")
        if key.lstrip("+") == "tracking.uri" and redact(value) != value:
            quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
            os.environ[TRACKING_URI] = value[1:-1] if quoted else value
            sys.argv[i] = f"{key}=${{oc.env:{TRACKING_URI}}}"
            sys.stderr.write(
                "tracking.uri: others can see a password on the command line in the list of processes; better give "
                f"the address in the environment: export {TRACKING_URI}=...\n"
            )
        elif i and redact(word) != word:
            sys.stderr.write(
                f"{redact(word)}: holds a password, which would be written to files. Only tracking.uri takes one, best "
                f"from the environment: export {TRACKING_URI}=...\n"
            )
            sys.exit(2)


def silence() -> None:
    """Send standard output to the null device, after its reader closed the pipe."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _interrupted() -> int:
    """Say so; the exit status."""
    sys.stderr.write("interrupted\n")
    return 128 + (_received[0] if _received else signal.SIGINT)


@contextmanager
def _interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM raise KeyboardInterrupt once; a second one ends the process at once.

    An exception raised in a finalizer or a callback of the garbage collector is lost: Python reports it and goes on.
    An interrupt that is lost in this way is raised again a moment later.
    """
    _received.clear()
    report = sys.unraisablehook

    def lost(unraisable: "sys.UnraisableHookArgs") -> None:
        if _received and issubclass(unraisable.exc_type, KeyboardInterrupt):
            signal.setitimer(signal.ITIMER_REAL, _MOMENT)
        else:
            report(unraisable)

    handlers = {signal.SIGINT: _interrupt, signal.SIGTERM: _interrupt, signal.SIGALRM: _interrupt_again}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    sys.unraisablehook = lost
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        sys.unraisablehook = report
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, _: FrameType | None) -> None:
    if _received:
        os._exit(128 + number)
    _received.append(signal.Signals(number))
    raise KeyboardInterrupt(_received[0].name)


def _interrupt_again(_: int, __: FrameType | None) -> None:
    raise KeyboardInterrupt(_received[0].name)
