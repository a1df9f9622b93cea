"""The length of a FLAC stream whose header leaves it open, as encoders that write to a pipe do (RFC 9639)."""

import io

from src.data.files import RegularFile, SplicedFile

_STREAMINFO_END = 42
_FRAME_OVERHEAD = 256
_BLOCK_SIZES = {1: 192} | {code: 576 << code - 2 for code in range(2, 6)} | {code: 1 << code for code in range(8, 16)}
"""Samples in a frame by the code of its header; the codes 6 and 7 announce a number behind it."""


def native_stream(file: RegularFile, begin: int) -> io.RawIOBase | None:
    """A FLAC file that begins at `begin` and states how many samples it has; None: this one does so, from 0 on.

    Raises:
        UnreadableAudio: it does not state its length, and does not end with a whole frame.
    """
    head = file.read(begin, _STREAMINFO_END)
    if samples_stated(head):
        return None if begin == 0 else SplicedFile(file, begin, file.size)
    block_size, fields = int.from_bytes(head[10:12], "big"), int.from_bytes(head[18:22], "big")
    uncompressed = block_size * ((fields >> 9 & 7) + 1) * ((fields >> 4 & 31) + 1) // 8
    start = max(begin, file.size - uncompressed - _FRAME_OVERHEAD)
    samples = _samples_by_last_frame(file.read(start, file.size - start), block_size)
    if samples is None:
        raise file.refusal(
            "truncated or damaged, its header does not say how long it is, and it does not end with a whole frame; get "
            "it again, or keep what is there: ffmpeg -i in.flac out.wav"
        )
    return SplicedFile(file, begin + _STREAMINFO_END, file.size, stating(head, samples))


def samples_stated(head: bytes) -> int:
    """Samples per channel by the file's first 42 bytes; 0: not said."""
    return int.from_bytes(head[21:26], "big") & 0xF_FFFF_FFFF


def stating(head: bytes, samples: int) -> bytes:
    """The first 42 bytes with this number of samples."""
    stated = int.from_bytes(head[21:26], "big") & ~0xF_FFFF_FFFF | samples
    return head[:21] + stated.to_bytes(5, "big") + head[26:]


def _samples_by_last_frame(end: bytes, block_size: int) -> int | None:
    """Number of the last frame's last sample plus 1, by the stream's last bytes; None: they are no whole frame."""
    at = len(end)
    while (at := max(end.rfind(b"\xff\xf8", 0, at), end.rfind(b"\xff\xf9", 0, at))) >= 0:
        frame = end[at:]
        if len(frame) < 16:
            continue
        size_code, rate_code = frame[2] >> 4, frame[2] & 15
        length = _coded_length(frame[4])
        position = 4 + length
        number = frame[4] & (0x7F if length == 1 else 0x7F >> length)
        for byte in frame[5:position]:
            number = number << 6 | byte & 0x3F
        size = _BLOCK_SIZES.get(size_code, 0)
        if size_code in (6, 7):
            size = int.from_bytes(frame[position : position + size_code - 5], "big") + 1
            position += size_code - 5
        position += {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
        if size and length and _remainder(frame[: position + 1], 8) == 0 and _remainder(frame, 16) == 0:
            return (number if frame[1] & 1 else number * block_size) + size
    return None


def _coded_length(byte: int) -> int:
    """Bytes of a number coded like UTF-8 that begins with this one; 0: none does."""
    ones = 8 - (~byte & 0xFF).bit_length()
    return 1 if ones == 0 else ones if 2 <= ones <= 7 else 0


def _remainder(content: bytes, width: int) -> int:
    """Cyclic redundancy check of 8 or 16 bits; 0 where the content ends with its own check."""
    value, table, rest = 0, _TABLES[width], (1 << width) - 1
    for byte in content:
        value = (value << 8 & rest) ^ table[value >> width - 8 ^ byte]
    return value


def _table(width: int, polynomial: int) -> tuple[int, ...]:
    values = []
    for byte in range(256):
        value = byte << width - 8
        for _ in range(8):
            value = value << 1 ^ (polynomial if value >> width - 1 else 0)
            value &= (1 << width) - 1
        values.append(value)
    return tuple(values)


_TABLES = {8: _table(8, 0x07), 16: _table(16, 0x8005)}
