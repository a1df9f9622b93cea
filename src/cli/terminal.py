"""What a person sees while a job runs: progress bars, and log lines that do not break them."""

import io
import logging
import sys
import time
from collections.abc import Callable

from omegaconf import DictConfig
from tqdm import tqdm

from src.errors import printable_lines, redact

# Jobs of a sweep warn of the same things: each is shown once, and stands in every job's log.
_shown: set[str] = set()


class Guarded(io.TextIOWrapper):
    """A standard stream that shows no password and lets no name command the terminal."""

    def write(self, text: str, /) -> int:
        """Write a text; carriage returns stay, since progress bars use them."""
        super().write(printable_lines(redact(text), kept="\n\t\r"))
        return len(text)


def guard_streams() -> None:
    """Guard standard output and standard error; streams that something else has replaced stay as they are."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if type(stream) is io.TextIOWrapper:
            stream.flush()
            guarded = Guarded(
                stream.buffer, stream.encoding, stream.errors,
                line_buffering=stream.line_buffering, write_through=stream.write_through,
            )  # fmt: skip
            setattr(sys, name, guarded)


class Formatter(logging.Formatter):
    """Log lines without passwords and control characters, tracebacks included."""

    def format(self, record: logging.LogRecord) -> str:
        """One record as text."""
        return printable_lines(redact(super().format(record)))


class BarHandler(logging.Handler):
    """Writes log lines to standard error, above any progress bar; a warning once."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; warnings and errors say so."""
        try:
            if record.levelno >= logging.WARNING:
                text = record.getMessage()
                if text in _shown:
                    return
                _shown.add(text)
            prefix = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
            tqdm.write(prefix + self.format(record), file=sys.stderr)
        except Exception:
            self.handleError(record)


def progress_bar(title: str) -> Callable[[int, int], None]:
    """A function to be called with (done, total): a bar on a terminal, a line every ten seconds elsewhere."""
    bar: tqdm[None] | None = None
    begun = shown = time.monotonic()

    def show(done: int, total: int) -> None:
        nonlocal bar, shown
        if sys.stderr.isatty():
            bar = bar or tqdm(total=total, desc=title, unit="clip", leave=False)
            bar.update(done - bar.n)
            if done == total:
                bar.close()
            return
        now = time.monotonic()
        if now - shown > 10 and max(2, total // 50) < done < total:  # the first clips pay for what is loaded once
            left = (now - begun) / done * (total - done)
            logging.getLogger(__name__).info("%s: %d of %d, about %.0f s left", title, done, total, left)
            shown = now

    return show


def progress_of(cfg: DictConfig) -> Callable[[str], Callable[[int, int], None] | None]:
    """`progress_bar`, or nothing where the setting `progress` is off."""
    from src.config import build

    return progress_bar if build.parse_bool("progress", cfg.progress) else lambda _: None
