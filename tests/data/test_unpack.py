import io
import os
import shutil
import stat
import tarfile
import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from src.data import unpack as unpack_module
from src.data.unpack import unpack
from src.errors import UserError

FILES = {"set/waltz/1.wav": b"one" * 1000, "set/waltz/2.wav": b"", "set/notes.json": b"{}"}


def make_tar(path: Path, files: dict[str, bytes], mode: str = "w:gz", extra: tuple[tarfile.TarInfo, ...] = ()) -> Path:
    with tarfile.open(path, mode) as tar:
        folder = tarfile.TarInfo("set")
        folder.type = tarfile.DIRTYPE
        tar.addfile(folder)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
        for info in extra:
            tar.addfile(info, io.BytesIO(b"\0" * info.size))
    return path


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("set/", b"")
        for name, content in files.items():
            archive.writestr(name, content)
    return path


def content(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def nothing_left(tmp_path: Path) -> bool:
    """No destination, no temporary folder; the archive and the lock may stay."""
    return not any(path.is_dir() for path in tmp_path.iterdir())


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_a_tar_is_unpacked_by_its_content_whatever_its_name(tmp_path, mode):
    archive = make_tar(tmp_path / "set.part", FILES, mode)
    assert content(unpack(archive, tmp_path / "out")) == FILES


def test_a_zip_is_unpacked(tmp_path):
    archive = make_zip(tmp_path / "set.part", FILES)
    assert content(unpack(archive, tmp_path / "out")) == FILES


def test_only_the_wanted_members_are_unpacked_where_they_are_wanted(tmp_path):
    archive = make_tar(tmp_path / "set.tar.gz", {f"./{name}": data for name, data in FILES.items()})
    out = unpack(archive, tmp_path / "out", only={"set/notes.json": "notes.json"})
    assert content(out) == {"notes.json": b"{}"}


def test_reading_stops_with_the_last_wanted_member(tmp_path):
    archive = make_tar(tmp_path / "set.tar", FILES, "w")
    seen = []
    unpack(archive, tmp_path / "out", only={"set/waltz/1.wav": "1.wav"}, progress=lambda *step: seen.append(step))
    assert seen == [("set.tar: members read", 1, None)]


def test_a_wanted_member_that_is_missing_is_named(tmp_path):
    archive = make_tar(tmp_path / "set.tar.gz", FILES)
    with pytest.raises(UserError, match=r"lacks 1 of the files wanted from it, such as set/none.json"):
        unpack(archive, tmp_path / "out", only={"set/none.json": "a", "set/notes.json": "b"})
    assert nothing_left(tmp_path)


def test_what_is_there_was_whole_and_is_left(tmp_path):
    archive = make_zip(tmp_path / "set.zip", FILES)
    (tmp_path / "out").mkdir()
    assert content(unpack(archive, tmp_path / "out")) == {}


def test_an_interrupted_unpacking_never_looks_whole_and_is_cleared_away(tmp_path):
    archive = make_zip(tmp_path / "set.zip", FILES)

    def stop(name: str, done: int, total: int | None) -> None:
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        unpack(archive, tmp_path / "out", progress=stop)
    assert nothing_left(tmp_path)
    killed = tmp_path / ".out.unpacking-killed"
    killed.mkdir()
    (killed / "half.wav").write_bytes(b"ha")
    assert content(unpack(archive, tmp_path / "out")) == FILES
    assert not killed.exists()


@pytest.mark.parametrize(
    "name", ["../evil.wav", "set/../../evil.wav", "/no/evil.wav", "..\\evil.wav", "C:\\evil.wav", "c:evil.wav", "."]
)
@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_a_name_that_leads_outside_is_refused(tmp_path, make, name):
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    archive = make(tmp_path / "evil", {"set/good.wav": b"good", name: b"evil"})
    with pytest.raises(UserError, match="would land outside the folder"):
        unpack(archive, inner / "out")
    assert nothing_left(inner)
    assert not list(tmp_path.rglob("*evil.wav"))


def special(kind: bytes, name: str = "set/link", target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    "member",
    [
        special(tarfile.SYMTYPE, target="/etc"),
        special(tarfile.SYMTYPE, target="../../.."),
        special(tarfile.SYMTYPE, target="notes.json"),
        special(tarfile.LNKTYPE, target="/etc/hostname"),
        special(tarfile.CHRTYPE),
        special(tarfile.BLKTYPE),
        special(tarfile.FIFOTYPE),
    ],
)
def test_links_and_devices_in_a_tar_are_refused(tmp_path, member):
    archive = make_tar(tmp_path / "evil.tar", FILES, "w", extra=(member,))
    with pytest.raises(UserError, match="set/link is a link or a device"):
        unpack(archive, tmp_path / "out")
    assert nothing_left(tmp_path)


def test_a_link_in_a_zip_is_refused(tmp_path):
    info = zipfile.ZipInfo("set/link")
    info.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr(info, "/etc")
    with pytest.raises(UserError, match="set/link is a link or a device"):
        unpack(tmp_path / "evil.zip", tmp_path / "out")


def test_an_encrypted_member_is_refused(tmp_path):
    archive = make_zip(tmp_path / "set.zip", {"set/1.wav": b"one"})
    data = bytearray(archive.read_bytes())
    # Bit 0 of the general purpose flags, in the central directory (APPNOTE 4.3.12), which is what is read.
    data[data.rindex(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(data)
    with pytest.raises(UserError, match=r"set/1\.wav is encrypted"):
        unpack(archive, tmp_path / "out")


def test_the_same_name_twice_is_refused(tmp_path):
    twice = tarfile.TarInfo("set/./notes.json")
    twice.size = 10
    archive = make_tar(tmp_path / "set.tar", FILES, "w", extra=(twice,))
    with pytest.raises(UserError, match="is there twice"):
        unpack(archive, tmp_path / "out")


def test_permissions_of_the_archive_are_not_taken_over(tmp_path):
    odd = tarfile.TarInfo("set/odd.wav")
    odd.mode = 0o6777
    unpack(make_tar(tmp_path / "set.tar", {}, "w", extra=(odd,)), tmp_path / "out")
    assert (tmp_path / "out" / "set" / "odd.wav").stat().st_mode & 0o6111 == 0


@pytest.mark.parametrize("make", [make_tar, make_zip])
def test_an_archive_made_to_fill_the_disk_is_refused(tmp_path, make):
    # 80 MB of zeros become some 80 kB: 1000 times less, past the 200 times that are allowed beyond 64 MiB.
    archive = make(tmp_path / "bomb", {"set/zeros.wav": bytes(80 << 20)})
    with pytest.raises(UserError, match="more than 200 times its own size"):
        unpack(archive, tmp_path / "out")
    assert nothing_left(tmp_path)


def test_more_than_the_disk_holds_is_refused(tmp_path, monkeypatch):
    archive = make_zip(tmp_path / "set.zip", FILES)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(UserError, match="make room"):
        unpack(archive, tmp_path / "out")
    assert nothing_left(tmp_path)


def test_an_archive_with_countless_members_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(unpack_module, "MOST_MEMBERS", 2)
    with pytest.raises(UserError, match="more than 2"):
        unpack(make_tar(tmp_path / "set.tar", FILES, "w"), tmp_path / "out")
    with pytest.raises(UserError, match="more than 2"):
        unpack(make_zip(tmp_path / "set.zip", FILES), tmp_path / "out")


def noise() -> dict[str, bytes]:
    """Incompressible, so that cutting or flipping falls into a member's content."""
    rng = np.random.default_rng(0)
    return {f"set/{number}.wav": rng.bytes(20_000) for number in range(5)}


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz", "zip"])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_a_truncated_archive_is_called_damaged(tmp_path, mode, share):
    path = tmp_path / "set"
    archive = make_zip(path, noise()) if mode == "zip" else make_tar(path, noise(), mode)
    data = archive.read_bytes()
    archive.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(UserError, match=r"damaged, or no zip or tar archive|cannot be unpacked"):
        unpack(archive, tmp_path / "out")
    assert nothing_left(tmp_path)


def test_a_tar_cut_between_two_members_is_called_damaged(tmp_path):
    archive = make_tar(tmp_path / "set.tar", noise(), "w")
    # A folder and one member: 512 bytes of header each, 20 000 bytes of content in blocks of 512.
    archive.write_bytes(archive.read_bytes()[: 512 + 512 + 40 * 512])
    with pytest.raises(UserError, match="breaks off"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("mode", ["w:gz", "w:bz2", "w:xz", "zip"])
def test_a_flipped_bit_is_called_damaged(tmp_path, mode):
    path = tmp_path / "set"
    archive = make_zip(path, noise()) if mode == "zip" else make_tar(path, noise(), mode)
    data = bytearray(archive.read_bytes())
    data[len(data) // 2] ^= 4
    archive.write_bytes(data)
    with pytest.raises(UserError, match=r"damaged, or no zip or tar archive|cannot be unpacked"):
        unpack(archive, tmp_path / "out")


def test_an_overwritten_header_is_not_taken_for_the_end(tmp_path):
    archive = make_tar(tmp_path / "set.tar", noise(), "w")
    data = bytearray(archive.read_bytes())
    data[512 + 512 + 40 * 512 + 3] ^= 255
    archive.write_bytes(data)
    with pytest.raises(UserError, match="a part of it is overwritten"):
        unpack(archive, tmp_path / "out")


@pytest.mark.parametrize("data", [b"", b"<html>moved</html>", b"\x1f\x8b", os.urandom(5000)])
def test_something_else_is_called_no_archive(tmp_path, data):
    (tmp_path / "set.zip").write_bytes(data)
    with pytest.raises(UserError, match="no zip or tar archive"):
        unpack(tmp_path / "set.zip", tmp_path / "out")


def test_a_missing_archive_is_named(tmp_path):
    with pytest.raises(UserError, match=r"set.zip: cannot be unpacked .*No such file"):
        unpack(tmp_path / "set.zip", tmp_path / "out")
