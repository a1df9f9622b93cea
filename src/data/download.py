"""Downloading one file: resumed where it broke off, verified, and under its name only once it is whole."""

import hashlib
import json
import logging
import re
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from urllib.parse import urlsplit

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


class _AttemptError(Exception):
    """An attempt failed in a way that another attempt may mend."""


class DownloadError(UserError):
    """An address does not give the file; another one may."""


@dataclass(frozen=True)
class Expected:
    """What is published about a file's bytes: checksums in hex, length, and a test whether it can be used."""

    sha256: str | None
    md5: str | None
    size: int | None
    readable: Callable[[Path], None] | None

    @property
    def summed(self) -> bool:
        """Whether a checksum can tell the file from every other."""
        return self.sha256 is not None or self.md5 is not None

    def problem(self, path: Path) -> str | None:
        """Why the file is not the published one; None where it is."""
        found_size = path.stat().st_size
        if self.size is not None and found_size != self.size:
            return f"it has {found_size} bytes, the published file {self.size}"
        for name, wanted in (("sha256", self.sha256), ("md5", self.md5)):
            if wanted is not None and (found := checksum(path, name)) != wanted.lower():
                return f"its {name} is {found}, the published one {wanted.lower()}"
        if self.readable is not None:
            try:
                self.readable(path)
            except UserError as error:
                return str(error)
        return None


@dataclass(frozen=True)
class _Origin:
    """What the server said of the file that a partial download was begun from."""

    url: str
    etag: str | None
    modified: str | None
    total: int | None

    @property
    def validator(self) -> str | None:
        """Value for If-Range; a weak tag does not promise the same bytes."""
        return self.etag if self.etag is not None and not self.etag.startswith("W/") else self.modified

    def differs(self, other: "_Origin") -> bool:
        """Whether anything that both tell is told differently."""
        pairs = ((self.etag, other.etag), (self.modified, other.modified), (self.total, other.total))
        return any(None not in pair and pair[0] != pair[1] for pair in pairs)


@dataclass
class Transfer:
    """Downloads to `NAME.part`, with what the server said of the file in `NAME.part.json`, and renames at the end.

    Attributes:
        url: address. destination: where the whole file goes; its folder exists.
        expected: tells whether the whole file is the right one.
        progress: called with name, bytes so far, bytes in all.
        timeout: seconds to connect, and between two pieces.
        way_out: what a person can do instead, ends every message.
        mirrors: other addresses of the same file; what one of them sent is gone on from where a checksum is published.
    """

    url: str
    destination: Path
    expected: Expected
    progress: Progress | None
    timeout: float
    way_out: str
    mirrors: Sequence[str] = ()

    def __post_init__(self) -> None:
        self._part = self.destination.with_name(self.destination.name + ".part")
        self._notes = self.destination.with_name(self.destination.name + ".part.json")
        # Whether the partial file comes from more than one answer, so that its parts may not fit.
        self._joined = self._have() > 0

    def run(self, retries: int, pause: float) -> None:
        """Attempt until the file is whole, or `retries` attempts in a row failed without bringing a byte more.

        Raises:
            UserError: see `download`.
        """
        failures, most = 0, self._have()
        while True:
            try:
                self._attempt()
                break
            except _AttemptError as error:
                failures = 0 if self._have() > most else failures + 1
                most = max(most, self._have())
                if failures > retries:
                    raise self._error(f"could not be downloaded: {error}") from error
                wait = min(pause * 2 ** max(failures - 1, 0), _LONGEST_PAUSE)
                _log.info("%s: %s; trying again in %g s", self.url, error, wait)
                time.sleep(wait)
        self._part.replace(self.destination)
        self._notes.unlink(missing_ok=True)

    def _attempt(self) -> None:
        origin = self._resumable()
        if origin is None or self._have() != origin.total:
            self._receive(origin)
        problem = self.expected.problem(self._part)
        if problem is None:
            return
        self._drop()
        if self._joined:
            self._joined = False
            raise _AttemptError(f"the parts of an interrupted download do not fit together ({problem})")
        raise self._error(f"the server sent something else than the published file: {problem}")

    def _receive(self, origin: _Origin | None) -> None:
        have = 0 if origin is None else self._have()
        # As they lie on the server: a compressed transfer would change the length and every byte.
        headers = {"Accept-Encoding": "identity"}
        if origin is not None:
            headers["Range"] = f"bytes={have}-"
            if origin.validator is not None:
                headers["If-Range"] = origin.validator
        try:
            with requests.get(self.url, headers=headers, stream=True, timeout=self.timeout) as response:
                start, total = self._judge(response, origin, have)
                check_room(self._part.parent, max((total or 0) - start, 0))
                # read1 hands over what has arrived; read would lose up to a chunk of it where the connection breaks.
                pieces = iter(lambda: response.raw.read1(_CHUNK, decode_content=False), b"")
                self._write(pieces, start, total)
        except (requests.TooManyRedirects, requests.exceptions.InvalidSchema, requests.exceptions.InvalidURL) as error:
            raise self._error(f"leads nowhere ({error})") from error
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise _AttemptError(_reason(error)) from error

    def _judge(self, response: requests.Response, origin: _Origin | None, have: int) -> tuple[int, int | None]:
        """Where the body of this answer begins and how long the file is; makes the partial file ready for it."""
        if response.status_code in _PASSING:
            raise _AttemptError(f"the server answered {response.status_code} {response.reason}")
        if response.status_code == 416:
            self._drop()
            raise _AttemptError(f"the server has nothing after the first {have} bytes, though it promised more")
        if response.status_code not in (200, 206):
            raise self._error(f"the server answered {response.status_code} {response.reason}; the file may have moved")
        start, total = _extent(response)
        found = _Origin(self.url, response.headers.get("ETag"), response.headers.get("Last-Modified"), total)
        if response.status_code == 206 and (origin is None or start != have or found.differs(origin)):
            self._drop()
            raise _AttemptError("the file changed on the server")
        if response.headers.get("Content-Type", "").startswith("text/html"):
            raise self._error(
                f"the server sent a web page instead of {self.destination.name}; "
                "the file may have moved, or a sign-in page is in the way"
            )
        if None not in (total, self.expected.size) and total != self.expected.size:
            raise self._error(f"the server offers {total} bytes, the published file has {self.expected.size}")
        if start == 0:
            self._drop()
            write_atomically(self._notes, json.dumps(asdict(found)).encode())
        self._joined = start > 0
        return start, total

    def _write(self, pieces: Iterator[bytes], start: int, total: int | None) -> None:
        done, longest = start, self.expected.size
        try:
            with self._part.open("ab") as file:
                for piece in pieces:
                    done += len(piece)
                    if longest is not None and done > longest:
                        raise self._error(f"the server sends more than the published {longest} bytes")
                    if total is None:
                        check_room(self._part.parent, len(piece))
                    file.write(piece)
                    if self.progress is not None:
                        self.progress(self.destination.name, done, total)
        except OSError as error:
            raise UserError(f"{self._part}: cannot be written ({error.strerror or error})") from error
        if total is not None and done != total:
            raise _AttemptError(f"the server broke off after {done} of {total} bytes")

    def _have(self) -> int:
        return self._part.stat().st_size if self._part.exists() else 0

    def _drop(self) -> None:
        self._part.unlink(missing_ok=True)
        self._notes.unlink(missing_ok=True)

    def _resumable(self) -> _Origin | None:
        """What the partial file was begun from, if going on from it is safe; otherwise it is dropped."""
        try:
            origin = _Origin(**json.loads(self._notes.read_bytes()))
            have = self._part.stat().st_size
        except (OSError, ValueError, TypeError):
            self._drop()
            return None
        known = origin.validator is not None or self.expected.summed
        if origin.url in self.mirrors and self.expected.summed:  # another server marks the same file differently
            origin = replace(origin, url=self.url, etag=None, modified=None)
        if known and origin.url == self.url and 0 < have <= (origin.total or have):
            return origin
        self._drop()
        return None

    def _error(self, what: str) -> DownloadError:
        return DownloadError(f"{self.url}: {what}. {self.way_out}")


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
    """First byte that an answer holds (-1: it does not say), and the length of the whole file, as the server claims."""
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
