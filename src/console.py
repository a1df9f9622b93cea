"""What a person sees while a job runs: progress bars, and log lines that do not break them."""

import logging
import sys
import time
from collections.abc import Callable

from tqdm import tqdm

# Jobs of a sweep find the same things; each is told once, and stands in every job's log.
_told: set[str] = set()


class BarHandler(logging.Handler):
    """Writes log lines to standard error, above any progress bar; a warning once."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line; warnings and errors say so."""
        try:
            if record.levelno >= logging.WARNING:
                text = record.getMessage()
                if text in _told:
                    return
                _told.add(text)
            prefix = f"{record.levelname.lower()}: " if record.levelno >= logging.WARNING else ""
            tqdm.write(prefix + self.format(record), file=sys.stderr)
        except Exception:
            self.handleError(record)


def progress_bar(title: str) -> Callable[[int, int], None]:
    """What to tell of (done, in all): a bar on a terminal, a line every ten seconds elsewhere."""
    bar: tqdm[None] | None = None
    begun = said = time.monotonic()

    def tell(done: int, total: int) -> None:
        nonlocal bar, said
        if sys.stderr.isatty():
            bar = bar or tqdm(total=total, desc=title, unit="clip", leave=False)
            bar.update(done - bar.n)
            if done == total:
                bar.close()
            return
        now = time.monotonic()
        if now - said > 10 and max(2, total // 50) < done < total:  # the first clips pay for what is loaded once
            left = (now - begun) / done * (total - done)
            logging.getLogger(__name__).info("%s: %d of %d, about %.0f s left", title, done, total, left)
            said = now

    return tell
