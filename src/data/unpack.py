"""Unpacking an archive from elsewhere: nothing lands outside its folder, and half a folder never looks whole."""

import gzip
import lzma
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from io import BufferedIOBase
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import cast

from src.data.download import Progress, alone, check_room
from src.errors import UserError

_PIECE = 1 << 20
# Whole published sets of audio and text shrink at most some 30 times; archives made to fill disks, 1000 times and more.
_RATIO = 200
_SMALL = 64 << 20
MOST_MEMBERS = 1_000_000
_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.ReadError,
    tarfile.HeaderError,
    gzip.BadGzipFile,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    NotImplementedError,  # zipfile's word for a method of compression that it does not know
)


@dataclass(frozen=True)
class _Member:
    """A regular file of an archive; to be opened before the next member is asked for."""

    name: str
    size: int
    open: Callable[[], BufferedIOBase]


def unpack(
    archive: Path, destination: Path, *, only: Mapping[str, str] | None = None, progress: Progress | None = None
) -> Path:
    """Unpack a zip or tar (plain, gzip, bzip2, xz) into a folder that appears at once, when all is in it.

    A destination that is there already is left as it is: it was whole when it appeared. Only regular files are
    unpacked, with plain permissions; an archive that holds links, devices, absolute paths or paths upwards is refused.

    Args:
        archive: the file.
        destination: folder to produce.
        only: names of the wanted members to their paths below the destination; the rest is passed over, and reading
            stops with the last. None: everything, under its own name.
        progress: called with the archive's name and the number of members gone through.

    Returns:
        `destination`.

    Raises:
        UserError: no archive, damaged, hostile, larger than the disk or than its size allows, or without a wanted
            member.
    """
    destination.parent.mkdir(parents=True, exist_ok=True)
    prefix = f".{destination.name}.unpacking-"
    with alone(destination):
        if destination.is_dir():
            return destination
        for left in destination.parent.glob(f"{prefix}*"):
            shutil.rmtree(left)
        with tempfile.TemporaryDirectory(dir=destination.parent, prefix=prefix) as temporary:
            inner = Path(temporary) / "whole"
            inner.mkdir()
            with _explained(archive):
                _unpack_into(archive, inner, only, progress)
            inner.replace(destination)
    return destination


def _unpack_into(archive: Path, folder: Path, only: Mapping[str, str] | None, progress: Progress | None) -> None:
    left = None if only is None else {str(PurePosixPath(name)): path for name, path in only.items()}
    allowed = max(archive.stat().st_size * _RATIO, _SMALL)
    unpacked = 0
    for number, member in enumerate(_members(archive), start=1):
        if progress is not None:
            progress(f"{archive.name}: members read", number, None)
        name = str(PurePosixPath(member.name))
        if left is not None and name not in left:
            continue
        target = _inside(archive, folder, member.name if left is None else left.pop(name))
        unpacked += member.size
        if unpacked > allowed:
            raise UserError(
                f"{archive}: claims to hold more than {_RATIO} times its own size, as archives made to fill disks do; "
                "it was not unpacked"
            )
        check_room(folder, member.size)
        _write(archive, member, target)
        if left is not None and not left:
            return
    if left:
        raise UserError(
            f"{archive}: lacks {len(left)} of the files wanted from it, such as {min(left)}; "
            "it is not the published archive, or another version of it"
        )


def _write(archive: Path, member: _Member, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        raise _refused(archive, member.name, "is there twice")
    with member.open() as content, target.open("xb") as file:
        shutil.copyfileobj(content, file, _PIECE)
        if file.tell() != member.size:
            raise EOFError(f"{member.name} has {file.tell()} bytes, its entry says {member.size}")


def _members(archive: Path) -> Iterator[_Member]:
    """The regular files of an archive in its order."""
    return _zip_members(archive) if zipfile.is_zipfile(archive) else _tar_members(archive)


def _zip_members(archive: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(archive) as file:
        infos = file.infolist()
        if len(infos) > MOST_MEMBERS:
            raise _refused(archive, f"{len(infos)} members", f"are more than {MOST_MEMBERS}")
        for info in infos:
            if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(archive, info.filename, "is a link or a device")
            if info.flag_bits & 1:
                raise _refused(archive, info.filename, "is encrypted")
            if not info.is_dir():
                yield _Member(info.orig_filename, info.file_size, partial(_zip_content, file, info))


def _tar_members(archive: Path) -> Iterator[_Member]:
    with tarfile.open(archive) as file:
        count = 0
        while (info := file.next()) is not None:
            # The list of what went by would grow to hundreds of megabytes.
            file.members.clear()  # type: ignore[attr-defined]  # the library's own, absent from its types
            count += 1
            if count > MOST_MEMBERS:
                raise _refused(archive, info.name, f"is the {count}th member, more than {MOST_MEMBERS}")
            if not (info.isreg() or info.isdir()):
                raise _refused(archive, info.name, "is a link or a device")
            if info.isreg():
                yield _Member(info.name, info.size, partial(_tar_content, file, info))
        _check_end(file)


def _zip_content(file: zipfile.ZipFile, info: zipfile.ZipInfo) -> BufferedIOBase:
    return cast("BufferedIOBase", file.open(info))


def _tar_content(file: tarfile.TarFile, info: tarfile.TarInfo) -> BufferedIOBase:
    # None only for what is no regular file.
    return cast("BufferedIOBase", file.extractfile(info))


def _check_end(file: tarfile.TarFile) -> None:
    """See that the archive ends as one does, in blocks of zeros: tarfile takes any broken header for its end."""
    stream = cast("BufferedIOBase", file.fileobj)
    marked = stream.tell() > file.offset
    # Reading on also makes gzip compare its checksum.
    while piece := stream.read(_PIECE):
        marked = marked and not any(piece)
    if not marked:
        raise tarfile.ReadError("it breaks off, or a part of it is overwritten")


def _inside(archive: Path, folder: Path, name: str) -> Path:
    """Where a member goes.

    Raises:
        UserError: somewhere else than below the folder.
    """
    path = PurePosixPath(name)
    if (
        path.is_absolute()
        or ".." in path.parts
        or not path.parts
        or PureWindowsPath(name).drive
        or set(name) & {"\\", "\0"}
    ):
        raise _refused(archive, name, "would land outside the folder")
    return folder / path


def _refused(archive: Path, name: str, why: str) -> UserError:
    return UserError(
        f"{archive}: {name} {why}, as nothing in a published set of clips does; the archive was not unpacked. "
        "Remove it and get it from its publisher"
    )


@contextmanager
def _explained(archive: Path) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise UserError(
            f"{archive}: damaged, or no zip or tar archive ({error}); remove it and download it again"
        ) from error
    except OSError as error:
        raise UserError(f"{archive}: cannot be unpacked ({error})") from error
