"""What the decoder leaves unchecked in MP3 and Ogg files: an MP3's real length, an Ogg file's last page."""

import struct
from pathlib import Path

_KBIT = {
    1: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_LARGEST_OGG_PAGE = 65307
_OGG_HEADER = 27


def mp3_with_length(path: Path) -> bytes | None:
    """An MP3 file with a first frame that states its length, or None where it states one or cannot be measured.

    Without such a frame (called Xing or Info) decoders guess the length from the first frame's bit rate, and read
    only so far. Layout of frames: ISO/IEC 11172-3, section 2.4.1; of the Xing frame: its number of frames as a 32-bit
    big-endian integer after `Xing` and a flag.
    """
    with path.open("rb") as file:
        start = _after_id3(file.read(10))
        file.seek(start)
        if any(mark in file.read(4096) for mark in (b"Xing", b"Info")):
            return None
        file.seek(start)
        content = file.read()
    first, frames = _frames(content)
    return None if frames == 0 else _xing(first, frames) + content


def ogg_is_cut(path: Path) -> bool:
    """Whether the file ends inside a page (RFC 3533, section 6)."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(max(0, size - _LARGEST_OGG_PAGE - _OGG_HEADER))
        end = file.read()
    last = end[end.rfind(b"OggS") :]
    if not last.startswith(b"OggS"):
        return False
    segments = last[_OGG_HEADER : _OGG_HEADER + last[26]] if len(last) >= _OGG_HEADER else b""
    return len(last) < _OGG_HEADER or len(last) < _OGG_HEADER + last[26] + sum(segments)


def _after_id3(beginning: bytes) -> int:
    if beginning[:3] != b"ID3":
        return 0
    return 10 + sum((byte & 0x7F) << shift for byte, shift in zip(beginning[6:10], (21, 14, 7, 0), strict=True))


def _frames(content: bytes) -> tuple[int, int]:
    """Header of the first frame, and how many there are; 0 where it is no layer III of a stated bit rate."""
    first = frames = at = 0
    while at + 4 <= len(content):
        header = int.from_bytes(content[at : at + 4], "big")
        length = _frame_length(header)
        following = int.from_bytes(content[at + length : at + length + 4], "big")
        # Any two bytes may look like a header; a frame is followed by another one, or by the end.
        if length and (_frame_length(following) or at + length + 4 > len(content) or frames):
            first, frames, at = first or header, frames + 1, at + length
        else:
            at = content.find(b"\xff", at + 1)
            if at < 0:
                break
    return first, frames


def _frame_length(header: int) -> int:
    """In bytes; 0: no frame of layer III begins like this."""
    version, layer, kbit, rate = header >> 19 & 3, header >> 17 & 3, header >> 12 & 15, header >> 10 & 3
    if header >> 21 != 0x7FF or version == 1 or layer != 1 or kbit in (0, 15) or rate == 3:
        return 0
    bytes_per_kbit, table = (144_000, _KBIT[1]) if version == 3 else (72_000, _KBIT[2])
    return bytes_per_kbit * table[kbit] // _RATES[version][rate] + (header >> 9 & 1)


def _xing(first: int, frames: int) -> bytes:
    """A silent frame like the first one (no checksum, ninth bit rate) that says how many follow."""
    header = first & ~0xF000 | 9 << 12 | 1 << 16
    mono = header >> 6 & 3 == 3
    side = (17 if mono else 32) if header >> 19 & 3 == 3 else (9 if mono else 17)
    frame = struct.pack(">I", header) + bytes(side) + b"Xing" + struct.pack(">II", 1, frames)
    return frame.ljust(_frame_length(header), b"\0")
