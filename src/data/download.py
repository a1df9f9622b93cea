"""Downloading one file: resumed where it broke off, verified, and under its name only once it is whole."""

import hashlib
import json
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests
import urllib3
from filelock import FileLock, Timeout

from src.data.writing import write_atomically
from src.errors import UserError

# What is being fetched, how far it is, and of how much (None: not known). Bytes for a file, clips for a collection.
Progress = Callable[[str, int, int | None], None]

_CHUNK = 1 << 20
_RESERVE = 256 << 20
_LONGEST_PAUSE = 60.0
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_log = logging.getLogger(__name__)


def download(
    url: str | Sequence[str],
    destination: Path,
    *,
    sha256: str | None = None,
    md5: str | None = None,
    size: int | None = None,
    progress: Progress | None = None,
    timeout: float = 30.0,
    retries: int = 5,
    pause: float = 1.0,
    page: str = "",
) -> Path:
    """Fetch a file, or accept the one that is already there if it is the published one.

    An interrupted download leaves `NAME.part` beside the destination. The next call resumes it where a published
    checksum can tell whether the parts fit, and otherwise as long as the server still holds the same file by its
    entity tag or date (RFC 9110, section 13.1.5).

    Args:
        url: http or https address, or several of the same file, tried in order.
        destination: file to produce; its folder is made.
        sha256: published checksum, hex.
        md5: likewise.
        size: published length in bytes.
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
        if re.match(r"https?://[^/?#\[]", address) is None:
            raise UserError(f"{address}: expected an http or https address")
    published = Published(sha256, md5, size)
    destination.parent.mkdir(parents=True, exist_ok=True)
    with alone(destination):
        if destination.exists():
            problem = published.problem(destination)
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
                _Transfer(address, destination, published, progress, timeout).run(retries, pause)
                break
            except _DownloadError as error:
                message = f"{address}: {error}. {way_out}"
                if address == addresses[-1]:
                    raise UserError(message) from error
                _log.info("%s\nTrying the next address", message)
    return destination


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


class _AttemptError(Exception):
    """An attempt failed; another one may succeed."""


class _DownloadError(Exception):
    """An address does not give the file; another one may."""


@dataclass(frozen=True)
class Published:
    """What is published about a file's bytes: checksums in hex, and the length."""

    sha256: str | None
    md5: str | None
    size: int | None

    @property
    def has_checksum(self) -> bool:
        """Whether a checksum can tell the file from every other."""
        return self.sha256 is not None or self.md5 is not None

    def problem(self, path: Path) -> str | None:
        """Why the file is not the published one; None where it is."""
        size = path.stat().st_size
        if self.size is not None and size != self.size:
            return f"it has {size} bytes, the published file {self.size}"
        for name, expected in (("sha256", self.sha256), ("md5", self.md5)):
            if expected is not None and (digest := checksum(path, name)) != expected.lower():
                return f"its {name} is {digest}, the published one {expected.lower()}"
        return None


class _Transfer:
    """Downloads to `NAME.part`, with what the server said of the file in `NAME.part.json`, and renames at the end."""

    def __init__(
        self, url: str, destination: Path, published: Published, progress: Progress | None, timeout: float
    ) -> None:
        self._url, self._destination, self._published = url, destination, published
        self._progress, self._timeout = progress, timeout
        self._part = destination.with_name(destination.name + ".part")
        self._notes = destination.with_name(destination.name + ".part.json")
        # Whether the partial file comes from more than one answer, so that its parts may not fit.
        self._joined = self._have() > 0

    def run(self, retries: int, pause: float) -> None:
        """Attempt until the file is whole, or `retries` attempts in a row failed without bringing a byte more."""
        failures, most = 0, self._have()
        while True:
            try:
                self._attempt()
                break
            except _AttemptError as error:
                failures = 0 if self._have() > most else failures + 1
                most = max(most, self._have())
                if failures > retries:
                    raise _DownloadError(f"could not be downloaded: {error}") from error
                wait = min(pause * 2 ** max(failures - 1, 0), _LONGEST_PAUSE)
                _log.info("%s: %s; trying again in %g s", self._url, error, wait)
                time.sleep(wait)
        self._part.replace(self._destination)
        self._notes.unlink(missing_ok=True)

    def _attempt(self) -> None:
        origin = self._resumable()
        if origin is None or self._have() != origin["total"]:
            self._receive(origin)
        problem = self._published.problem(self._part)
        if problem is None:
            return
        self._drop()
        if self._joined:
            self._joined = False
            raise _AttemptError(f"the parts of an interrupted download do not fit together ({problem})")
        raise _DownloadError(f"the server sent something else than the published file: {problem}")

    def _receive(self, origin: dict[str, Any] | None) -> None:
        # As they lie on the server: a compressed transfer would change the length and every byte.
        headers = {"Accept-Encoding": "identity"}
        if origin is not None:
            headers["Range"] = f"bytes={self._have()}-"
            if (validator := _validator(origin)) is not None:
                headers["If-Range"] = validator
        try:
            with requests.get(self._url, headers=headers, stream=True, timeout=self._timeout) as response:
                start, total = self._begin(response, origin)
                check_room(self._part.parent, max((total or 0) - start, 0))
                # read1 hands over what has arrived; read would lose up to a chunk of it where the connection breaks.
                pieces = iter(lambda: response.raw.read1(_CHUNK, decode_content=False), b"")
                self._write(pieces, start, total)
        except (requests.TooManyRedirects, requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL) as error:
            raise _DownloadError(f"leads nowhere ({error})") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise _AttemptError(_reason(error)) from error

    def _begin(self, response: requests.Response, origin: dict[str, Any] | None) -> tuple[int, int | None]:
        """First byte of this answer and the length of the whole file; makes the partial file ready for it."""
        status, have = response.status_code, self._have()
        if status in _PASSING:
            raise _AttemptError(f"the server answered {status} {response.reason}")
        if status == 416:
            self._drop()
            raise _AttemptError(f"the server has nothing after the first {have} bytes, though it promised more")
        if status not in (200, 206):
            raise _DownloadError(f"the server answered {status} {response.reason}; the file may have moved")
        start, total = _extent(response)
        etag, modified = response.headers.get("ETag"), response.headers.get("Last-Modified")
        described = {"url": self._url, "etag": etag, "modified": modified, "total": total}
        if status == 206 and (origin is None or start != have or _differ(described, origin)):
            self._drop()
            raise _AttemptError("the file changed on the server")
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise _DownloadError(
                f"the server sent a web page instead of {self._destination.name}; "
                "the file may have moved, or a sign-in page is in the way"
            )
        size = self._published.size
        if None not in (total, size) and total != size:
            raise _DownloadError(f"the server offers {total} bytes, the published file has {size}")
        if start == 0:
            self._drop()
            write_atomically(self._notes, json.dumps(described).encode())
        self._joined = start > 0
        return start, total

    def _write(self, pieces: Iterator[bytes], start: int, total: int | None) -> None:
        done, size = start, self._published.size
        try:
            with self._part.open("ab") as file:
                for piece in pieces:
                    done += len(piece)
                    if size is not None and done > size:
                        raise _DownloadError(f"the server sends more than the published {size} bytes")
                    if total is None:
                        check_room(self._part.parent, len(piece))
                    file.write(piece)
                    if self._progress is not None:
                        self._progress(self._destination.name, done, total)
        except OSError as error:
            raise UserError(f"{self._part}: cannot be written ({error.strerror or error})") from error
        if total is not None and done != total:
            raise _AttemptError(f"the server broke off after {done} of {total} bytes")

    def _have(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _drop(self) -> None:
        self._part.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)

    def _resumable(self) -> dict[str, Any] | None:
        """What the partial file was begun from, if it can be resumed; otherwise it is dropped."""
        try:
            origin = dict(json.loads(self._notes.read_bytes()))
            url, total = origin["url"], origin["total"]
        except (OSError, ValueError, TypeError, KeyError):
            self._drop()
            return None
        if url != self._url:  # another server marks the same file differently
            origin |= {"etag": None, "modified": None}
        known = self._published.has_checksum or _validator(origin) is not None
        if known and 0 < self._have() <= (total or self._have()):
            return origin
        self._drop()
        return None


def _validator(origin: dict[str, Any]) -> str | None:
    """Value for If-Range; a weak tag does not promise the same bytes."""
    etag: str | None = origin.get("etag")
    return etag if etag is not None and not etag.startswith("W/") else origin.get("modified")


def _differ(described: dict[str, Any], origin: dict[str, Any]) -> bool:
    """Whether anything that both answers state of the file differs."""
    pairs = [(described[key], origin.get(key)) for key in ("etag", "modified", "total")]
    return any(None not in pair and pair[0] != pair[1] for pair in pairs)


def checksum(path: Path, name: str) -> str:
    """Hex digest of a file's bytes (`sha256` or `md5`).

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.new(name, usedforsecurity=False)).hexdigest()


def check_room(folder: Path, needed: int) -> None:
    """See that a folder's disk has room for that many bytes and some to spare.

    Raises:
        UserError: it has not.
    """
    free = shutil.disk_usage(folder).free
    if free < needed + _RESERVE:
        raise UserError(
            f"{folder}: {needed / 1e9:.2f} GB are needed there and {free / 1e9:.2f} GB are free, of which "
            f"{_RESERVE / 1e9:.2f} GB are left alone; make room, or choose a folder on another disk"
        )


def _extent(response: requests.Response) -> tuple[int, int | None]:
    """First byte that an answer holds (-1: not stated), and the length of the whole file, as the server states them."""
    if response.status_code == 206:
        claim = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", response.headers.get("Content-Range", ""))
        if claim is None:
            return -1, None
        return int(claim[1]), None if claim[2] == "*" else int(claim[2])
    length = response.headers.get("Content-Length", "")
    return 0, int(length) if length.isdigit() and "Transfer-Encoding" not in response.headers else None


def _reason(error: Exception) -> str:
    """What went wrong on the line, without the library's wrapping."""
    cause = error.args[0] if error.args and isinstance(error.args[0], Exception) else error
    cause = getattr(cause, "reason", None) or cause
    if isinstance(cause, urllib3.exceptions.NameResolutionError):
        return "its host is not known here, so there is probably no network"
    if isinstance(cause, urllib3.exceptions.NewConnectionError):
        return "the server took no connection"
    if isinstance(cause, urllib3.exceptions.TimeoutError):
        return "the server did not answer in time"
    return f"the connection broke ({cause})"
