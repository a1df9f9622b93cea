"""Files that appear whole or not at all."""

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

from src.errors import UserError


def _umask() -> int:
    found = os.umask(0)  # it can only be read by setting it
    os.umask(found)
    return found


_UMASK = _umask()


def write_atomically(path: Path, content: bytes) -> None:
    """Write to a temporary name beside `path`, then rename: a reader sees the old file or the new one, whole.

    Others may read the file as far as the process's umask allows.
    """
    # A name has at most 255 bytes, and four of them in a letter.
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:50]}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            os.fchmod(descriptor, 0o666 & ~_UMASK)
        Path(temporary).replace(path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_asked(setting: str, files: Mapping[Path, bytes]) -> None:
    """Write files where a person wanted them; folders that are not there are made.

    Args:
        setting: as it was typed, `out=PATH`, for the message.

    Raises:
        UserError: the place cannot be written.
    """
    try:
        for path, content in files.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_atomically(path, content)
    except OSError as error:
        raise UserError(f"{setting}: cannot be written ({error.strerror})") from error
