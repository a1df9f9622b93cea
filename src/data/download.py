"""Downloading one file: resumed where it broke off, verified, and under its name only once it is whole."""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from filelock import FileLock, Timeout

from src.data.transfer import DownloadError, Expected, Transfer
from src.errors import UserError

# What is being fetched, how far it is, and of how much (None: not known). Bytes for a file, clips for a collection.
Progress = Callable[[str, int, int | None], None]

_log = logging.getLogger(__name__)


def download(
    url: str | Sequence[str],
    destination: Path,
    *,
    sha256: str | None = None,
    md5: str | None = None,
    size: int | None = None,
    readable: Callable[[Path], None] | None = None,
    progress: Progress | None = None,
    timeout: float = 30.0,
    retries: int = 5,
    pause: float = 1.0,
    page: str = "",
) -> Path:
    """Fetch a file, or accept the one that is already there if it is the published one.

    An interrupted download leaves `NAME.part` beside the destination, and the next call goes on from there as long as
    the server still holds the same file by its entity tag or date (RFC 9110, section 13.1.5); where it gives neither,
    only if a published checksum can tell whether the parts fit.

    Args:
        url: http or https address, or several of the same file, tried in order.
        destination: file to produce; its folder is made.
        sha256: published checksum, hex.
        md5: likewise.
        size: published length in bytes.
        readable: raises UserError where a file cannot be used; the only check of a file without a checksum.
        progress: called with the file's name, bytes so far, bytes in all.
        timeout: seconds to connect, and between two pieces.
        retries: attempts in a row that may fail without bringing a byte more.
        pause: seconds before the first retry; doubles with each, up to a minute.
        page: where a person finds the file, for the message; empty: the address itself.

    Returns:
        `destination`.

    Raises:
        UserError: not http(s), no network, not found, not the published file, or no room on the disk; says which file
            to put where by hand.
    """
    addresses = (url,) if isinstance(url, str) else tuple(url)
    for address in addresses:
        _check(address)
    expected = Expected(sha256, md5, size, readable)
    destination.parent.mkdir(parents=True, exist_ok=True)
    with alone(destination):
        if destination.exists():
            problem = expected.problem(destination)
            if problem is not None:
                raise UserError(
                    f"{destination}: is there, but is not the published file: {problem}. Remove it and run the same "
                    f"command again, or replace it with the one from {page or addresses[0]}"
                )
            return destination
        way_out = (
            f"Check the network; or download {destination.name} by hand from {page or addresses[0]}, "
            f"put it at {destination} and run the same command again"
        )
        for address in addresses:
            try:
                others = [other for other in addresses if other != address]
                Transfer(address, destination, expected, progress, timeout, way_out, others).run(retries, pause)
                break
            except DownloadError as error:
                if address == addresses[-1]:
                    raise
                _log.info("%s\nTrying the next address", error)
    return destination


def _check(address: str) -> None:
    try:
        parts = urlsplit(address)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"{address}: expected an http or https address")


@contextmanager
def alone(target: Path) -> Iterator[None]:
    """Be the only thread of all processes that makes `target`; waits for another one, and says so."""
    path = target.with_name(f".{target.name}.lock")
    lock = FileLock(path)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        _log.info("%s is being made by another process; waiting for it", target)
        lock.acquire()
    try:
        yield
        # Removed only after success: whoever still waits for this lock finds the target made and leaves it.
        path.unlink(missing_ok=True)
    finally:
        lock.release()
