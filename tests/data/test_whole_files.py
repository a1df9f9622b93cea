"""Files that appear whole or not at all."""

from pathlib import Path

import pytest

from src.data.writing import write_asked, write_atomically
from src.errors import UserError


def test_writing_is_all_or_nothing(tmp_path, monkeypatch):
    target = tmp_path / "x.json"
    write_atomically(target, b"old")

    def broken(self, _):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "replace", broken)
        with pytest.raises(OSError, match="No space"):
            write_atomically(target, b"new")
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["x.json"]


def test_a_written_file_is_as_readable_as_any_other(tmp_path):
    write_atomically(tmp_path / "ours", b"content")
    (tmp_path / "any").write_bytes(b"content")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "any").stat().st_mode


def test_files_asked_for_get_their_folders_and_trouble_names_the_setting(tmp_path):
    write_asked("out=x", {tmp_path / "new" / "a": b"1", tmp_path / "new" / "deep" / "b": b"2"})
    assert (tmp_path / "new" / "deep" / "b").read_bytes() == b"2"
    with pytest.raises(UserError, match=r"^out=x: cannot be written \((Not a directory|File exists)\)"):
        write_asked("out=x", {tmp_path / "new" / "a" / "c": b"3"})
