"""Where the samples of a WAV, AIFF, AU or CAF file are, and how many bytes of them it promises.

Decoders take what is there for what was meant, and a length of 0 literally. Here a header's promise is compared with
the file, and where a recorder or a pipe left no length, the samples reach to the file's end. Layouts: Microsoft's RIFF
and WAVEFORMATEX, EBU Tech 3306 (RF64), Sony's Wave64, Apple's AIFF-C and CAF, Sun's AU.
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from src.data.files import RegularFile

_W64 = bytes.fromhex("726966662e91cf11a5d628db04c10000")
_W64_TAIL = bytes.fromhex("f3acd3118cd100c04f8edb8a")
_MPEG_ENCODINGS = ("0x0050", "0x0055")
_SMALL = 1 << 32
_LONGEST_LAYOUT = 4096


@dataclass(frozen=True)
class SampleData:
    """The samples of a file.

    Attributes:
        format: `WAV`, `RF64`, `W64`, `AIFF`, `AU` or `CAF`. begin: position of the first byte. size: in bytes, as far
            as they are there. promised: bytes that the header speaks of; None: it leaves the length open.
        layout: what a plain header is made of: the `fmt ` chunk, or the AIFF's type and `COMM` chunk, or the AU's
            fields.
        order: `<` or `>`, as the header's numbers are written.
    """

    format: str
    begin: int
    size: int
    promised: int | None
    layout: bytes
    order: str

    @property
    def encoding(self) -> str:
        """How the samples are coded, as the header says it: a number, or in an AIFF four letters."""
        if self.format in ("WAV", "RF64", "W64"):
            return f"{struct.unpack_from(f'{self.order}H', self.layout)[0]:#06x}"
        if self.format == "AU":
            return str(struct.unpack_from(f"{self.order}I", self.layout)[0])
        place = 22 if self.format == "AIFF" else 8
        return repr(self.layout[place : place + 4].decode("ascii", "replace"))

    @property
    def is_mpeg(self) -> bool:
        """Whether the samples are frames of MPEG audio."""
        return self.encoding in _MPEG_ENCODINGS

    def plain_header(self) -> bytes | None:
        """The shortest header of the same samples with their right size; None: none is known."""
        pack, size = struct.pack, self.size
        if self.format in ("WAV", "RF64", "W64"):
            form = pack(f"{self.order}4sI", b"fmt ", len(self.layout)) + self.layout
            if size + len(form) + 64 < _SMALL:
                start = b"RIFX" if self.order == ">" else b"RIFF"
                riff = pack(f"{self.order}4sI4s", start, 12 + len(form) + size, b"WAVE")
                return riff + form + pack(f"{self.order}4sI", b"data", size)
            wide = pack("<4sIQQQI", b"ds64", 28, size + len(form) + 48, size, 0, 0)
            return pack("<4sI4s", b"RF64", _SMALL - 1, b"WAVE") + wide + form + pack("<4sI", b"data", _SMALL - 1)
        if self.format == "AIFF" and size + len(self.layout) + 64 < _SMALL:
            kind, common = self.layout[:4], self.layout[4:]
            chunks = pack(">4sI", b"COMM", len(common)) + common + pack(">4sIII", b"SSND", size + 8, 0, 0)
            return pack(">4sI4s", b"FORM", 4 + len(chunks) + size, kind) + chunks
        if self.format == "AU" and size < _SMALL - 1:
            return pack(f"{self.order}4sII", b".snd" if self.order == ">" else b"dns.", 24, size) + self.layout
        return None


def sample_data(file: RegularFile, at: int) -> SampleData | None:
    """The samples of the file whose header begins at `at`; None: a file of another kind.

    Raises:
        UnreadableAudio: no samples are there, or fewer than the header promises.
    """
    head = file.read(at, 40)
    if head[:4] in (b"RIFF", b"RIFX", b"RF64", b"BW64") and head[8:12] == b"WAVE":
        found = _riff(file, at)
    elif head[:16] == _W64:
        found = _w64(file, at)
    elif head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        found = _aiff(file, at)
    elif head[:4] in (b".snd", b"dns."):
        found = _au(file, at)
    elif head[:4] == b"caff":
        found = _caf(file, at)
    else:
        return None
    if found is None:
        raise file.refusal("truncated or damaged, its header does not lead to its samples")
    if found.size == 0 and not found.promised:
        raise file.refusal("holds no samples")
    if found.promised is not None and found.promised > found.size:
        raise file.refusal(
            f"truncated, its header promises {found.promised} bytes of samples, it holds {found.size}; get it again, "
            "or keep what is there: ffmpeg -i in out.wav"
        )
    return found


def _data(
    file: RegularFile, kind: str, begin: int, promised: int | None, layout: bytes | None, order: str
) -> SampleData | None:
    """As far as the samples are there; None: what they are is not said in front of them."""
    if layout is None:
        return None
    held = max(file.size - begin, 0)
    # 32 bits cannot say more than 4 GB: what is written of a longer file is the remainder.
    if promised is not None and held - promised >= _SMALL - (1 << 16):
        promised = None
    return SampleData(kind, begin, held if promised is None else min(promised, held), promised, layout, order)


def _open_ended(size: int) -> bool:
    """Whether 32 bits are what is left there by those who write to a pipe and cannot come back."""
    return size >= 0xFFFF_0000 or 0x7FFF_0000 <= size <= 0x8000_0000 or 0x7F00_0000 <= size < 0x7F00_1000


def _is_unfinished(file: RegularFile, begin: int, order: str) -> bool:
    """Whether samples follow a length of 0, which was to be filled in later: anything but chunks up to the end."""
    end = begin
    for _, start, size in _chunks(file, begin, order):
        end = start + size + size % 2
    return not file.size <= end <= file.size + 1


def _chunks(file: RegularFile, at: int, order: str) -> Iterator[tuple[bytes, int, int]]:
    """Name, position of the content and size of each chunk, as far as there are any."""
    while at + 8 <= file.size:
        name, size = struct.unpack(f"{order}4sI", file.read(at, 8))
        if not all(32 <= byte < 127 for byte in name):
            return
        yield name, at + 8, size
        at += 8 + size + size % 2


def _riff(file: RegularFile, at: int) -> SampleData | None:
    start = file.read(at, 4)
    order, kind = ">" if start == b"RIFX" else "<", "WAV" if start in (b"RIFF", b"RIFX") else "RF64"
    layout, wide = None, None
    for name, begin, size in _chunks(file, at + 12, order):
        if name == b"fmt " and size >= 16:
            layout = file.read(begin, min(size, _LONGEST_LAYOUT))
        elif name == b"ds64":
            wide = int.from_bytes(file.read(begin + 8, 8), "little")
        elif name == b"data":
            if kind == "RF64" and size == _SMALL - 1 and wide is not None:
                promised = None if wide == 0 or wide >= 1 << 62 else wide
            elif size == 0:
                promised = None if _is_unfinished(file, begin, order) else 0
            else:
                promised = None if _open_ended(size) else size
            return _data(file, kind, begin, promised, layout, order)
    return None


def _w64(file: RegularFile, at: int) -> SampleData | None:
    layout = None
    at += 40
    while at + 24 <= file.size:
        name, size = file.read(at, 16), int.from_bytes(file.read(at + 16, 8), "little")
        if name == b"fmt " + _W64_TAIL and size >= 40:
            layout = file.read(at + 24, min(size - 24, _LONGEST_LAYOUT))
        elif name == b"data" + _W64_TAIL:
            promised = None if size in (0, 24) or size >= 1 << 62 else size - 24
            return None if size in range(1, 24) else _data(file, "W64", at + 24, promised, layout, "<")
        if size < 24:
            return None
        at += size + -size % 8
    return None


def _aiff(file: RegularFile, at: int) -> SampleData | None:
    kind, common, samples = file.read(at + 8, 4), None, None
    for name, begin, size in _chunks(file, at + 12, ">"):
        if name == b"COMM" and size >= 18:
            common = file.read(begin, min(size, _LONGEST_LAYOUT))
        elif name == b"SSND":
            first = begin + 8 + int.from_bytes(file.read(begin, 4), "big")
            if size == 0:
                promised = None if _is_unfinished(file, begin, ">") else 0
            else:
                promised = None if _open_ended(size) else max(size - (first - begin), 0)
            samples = first, promised
        if common is not None and samples is not None:
            return _data(file, "AIFF", *samples, kind + common, ">")
    return None


def _au(file: RegularFile, at: int) -> SampleData | None:
    order = ">" if file.read(at, 4) == b".snd" else "<"
    if file.size < at + 24:
        return None
    offset, size = struct.unpack(f"{order}II", file.read(at + 4, 8))
    promised = None if size == 0 or _open_ended(size) else size
    return _data(file, "AU", at + offset, promised, file.read(at + 12, 12), order)


def _caf(file: RegularFile, at: int) -> SampleData | None:
    layout = None
    at += 8
    while at + 12 <= file.size:
        name, size = struct.unpack(">4sq", file.read(at, 12))
        if name == b"desc":
            layout = file.read(at + 12, 32)
        elif name == b"data":  # behind a count of edits
            return _data(file, "CAF", at + 16, None if size < 4 else size - 4, layout, ">")
        if size <= 0:
            return None
        at += 12 + size
    return None
