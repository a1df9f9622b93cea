"""Only regular files are opened."""

import os
import socket

import pytest

from src.data.audio import UnreadableAudio, Window, decode, header
from src.data.files import open_regular


def test_a_regular_file_is_opened_through_links(tmp_path):
    (tmp_path / "a").write_bytes(b"x" * 100_000)
    (tmp_path / "b").symlink_to("a")
    with open_regular(tmp_path / "b") as file:
        assert len(file.read()) == 100_000


@pytest.fixture
def special(tmp_path):
    """A path of each kind, and what it is."""
    os.mkfifo(tmp_path / "fifo.wav")
    (tmp_path / "zero.wav").symlink_to("/dev/zero")
    (tmp_path / "folder.wav").mkdir()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "socket.wav"))
        yield {
            tmp_path / "fifo.wav": "a FIFO",
            tmp_path / "zero.wav": "a character device",
            tmp_path / "folder.wav": "a folder",
            tmp_path / "socket.wav": "a socket",
        }


def test_nothing_else_is(special):
    for path, kind in special.items():
        with pytest.raises(OSError, match=kind):
            open_regular(path)
        for read in (lambda path: decode(path, Window(0.0, None, None)), header):
            with pytest.raises(UnreadableAudio, match=rf"{path.name}: .*{kind}"):
                read(path)
