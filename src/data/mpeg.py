"""MPEG audio (ISO/IEC 11172-3 and 13818-3, layers I to III): finding the frames, and decoding some of them.

Decoders guess where the first frame is, how long a stream lasts, and how much of it to play. Here the frames themselves
are counted. A stream may be a whole file, with tags before, after and between its frames, or the samples of a WAV file.
"""

import io
import re
from array import array
from dataclasses import dataclass

import numpy as np
import soundfile
from jaxtyping import Float32

from src.data.files import KNOWN_KINDS, RegularFile

# By MPEG version 1 or not, and layer; index 0 is the free format, whose frames do not state their length.
_KBIT = {
    (True, 1): (0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
_ROMAN = {1: "I", 2: "II", 3: "III"}

_SYNC = re.compile(rb"\xff[\xe0-\xff]")
# Bits of a frame header that are equal in all frames of a stream: sync, version, layer, sample rate.
_STREAM = 0xFFFE0C00
_BLOCK = 1 << 16
_LONGEST_JUNK = 1 << 20
"""How far behind the tags the first frame is searched for."""
_TAGS = (b"ID3", b"TAG", b"APE", b"LYR")
_DECODER_DELAY = 529
"""Samples that a layer III decoder is late by (LAME, technical FAQ), which an encoder's delay does not include."""
_RESERVOIR = 511
"""Bytes of earlier frames that a layer III frame may refer to: 9 bits count them."""
_OVERLAP = 3
"""Frames besides those after which a decoder's state no longer depends on where it began: overlap and filter bank."""
_ALIGNMENT = 8
"""Frames after which the decoder's filter bank, which rotates, adds up in the same order again."""
_WAY_OUT = "ffmpeg -i in out.wav writes one that can be used"


@dataclass(frozen=True)
class _Header:
    """What the four bytes of a frame header say."""

    bits: int

    @property
    def version(self) -> int:
        """As coded: 3 is MPEG-1, 2 MPEG-2, 0 the extension to lower rates that is called MPEG-2.5."""
        return self.bits >> 19 & 3

    @property
    def layer(self) -> int:
        return 4 - (self.bits >> 17 & 3)

    @property
    def rate(self) -> int:
        return _RATES[self.version][self.bits >> 10 & 3]

    @property
    def channels(self) -> int:
        return 1 if self.bits >> 6 & 3 == 3 else 2

    @property
    def samples(self) -> int:
        """Per channel."""
        return 384 if self.layer == 1 else 576 if self.layer == 3 and self.version != 3 else 1152

    @property
    def side_info(self) -> int:
        """Bytes between the header and the main data of a layer III frame."""
        return (17, 32)[self.channels - 1] if self.version == 3 else (9, 17)[self.channels - 1]


def _length(bits: int) -> int:
    """Bytes of a frame by bits 9 to 20 of its header; 0: no frame begins like this, or one of the free format."""
    version, layer, index, rate, padding = bits >> 10 & 3, 4 - (bits >> 8 & 3), bits >> 3 & 15, bits >> 1 & 3, bits & 1
    if version == 1 or layer == 4 or index == 15 or rate == 3:
        return 0
    kbit, hz = _KBIT[version == 3, layer][index], _RATES[version][rate]
    if kbit == 0:
        return 0
    if layer == 1:
        return 4 * (12_000 * kbit // hz + padding)
    return (72_000 if layer == 3 and version != 3 else 144_000) * kbit // hz + padding


_LENGTHS = tuple(_length(bits) for bits in range(1 << 12))


def _header_at(file: RegularFile, at: int, end: int) -> tuple[int, int]:
    """A frame header and the frame's length in bytes; (0, 0): no frame begins there."""
    bits = int.from_bytes(file.read(at, 4), "big")
    if at + 4 > end or bits >> 21 != 0x7FF:
        return 0, 0
    length = _LENGTHS[bits >> 9 & 0xFFF]
    return (bits, length) if length else (0, 0)


def after_id3(file: RegularFile, at: int) -> int:
    """Position behind the ID3v2 tags that begin at `at`, if any do (id3.org, ID3v2.4, section 3.1)."""
    while True:
        head = file.read(at, 10)
        if head[:3] != b"ID3" or len(head) < 10 or max(head[6:10]) > 0x7F:
            return at
        footer = 10 if head[5] & 0x10 else 0
        at += 10 + footer + sum(byte << shift for byte, shift in zip(head[6:10], (21, 14, 7, 0), strict=True))


def _after_tag(file: RegularFile, at: int) -> int:
    """Position behind the tag that begins at `at`; `at` itself where its length is not known."""
    if file.read(at, 8) == b"APETAGEX":
        return at + 32 + int.from_bytes(file.read(at + 12, 4), "little")
    return at + 128 if file.read(at, 3) == b"TAG" else after_id3(file, at)


def _find(file: RegularFile, at: int, end: int, limit: int) -> int | None:
    """First position before `limit` from which three frames of one stream, or all up to the end, follow each other.

    Any two bytes may look like the beginning of a header.
    """
    while at < min(end, limit):
        block = file.read(at, min(_BLOCK, end - at))
        for match in _SYNC.finditer(block):
            if _is_chain(file, at + match.start(), end):
                return at + match.start()
        if len(block) < 2:
            break
        at += len(block) - 1
    return None


def _is_chain(file: RegularFile, at: int, end: int) -> bool:
    first = 0
    for _ in range(3):
        bits, length = _header_at(file, at, end)
        first = first or bits
        if not length or (bits ^ first) & _STREAM:
            return False
        at += length
        if at == end or file.read(at, 3) in _TAGS:
            return True
    return True


@dataclass(frozen=True)
class _Info:
    """The first frame of a file, where it holds no sound but says how long the stream is (Xing, Info or VBRI).

    Attributes:
        frames: that follow; None: not said. size: bytes of the stream with this frame; None: not said.
        delay, padding: samples that the encoder put before and behind the sound; None: not said.
    """

    frames: int | None
    size: int | None
    delay: int | None
    padding: int


def _info(file: RegularFile, at: int, header: _Header) -> _Info | None:
    content = file.read(at, 4 + 32 + 160)
    tag = content[4 + header.side_info :]
    if content[36:40] == b"VBRI":
        return _Info(int.from_bytes(content[50:54], "big"), int.from_bytes(content[46:50], "big"), None, 0)
    if tag[:4] not in (b"Xing", b"Info"):
        return None
    flags, position = int.from_bytes(tag[4:8], "big"), 8
    counts: list[int | None] = []
    for flag in (1, 2):
        counts.append(int.from_bytes(tag[position : position + 4], "big") if flags & flag else None)
        position += 4 if flags & flag else 0
    position += (100 if flags & 4 else 0) + (4 if flags & 8 else 0)
    frames, size = counts
    if tag[position : position + 4] not in (b"LAME", b"Lavf", b"Lavc"):
        return _Info(frames, size, None, 0)
    trims = int.from_bytes(tag[position + 21 : position + 24], "big")
    return _Info(frames, size, trims >> 12, trims & 0xFFF)


class MpegStream:
    """A stream of MPEG audio frames.

    Attributes:
        sample_rate: in Hz. channels: 1 or 2. subtype: `MPEG_LAYER_III` or another layer. frames: samples per channel,
            without what the encoder put before and behind the sound, where the stream says how much that is.
    """

    def __init__(self, file: RegularFile, begin: int, end: int, *, bare: bool) -> None:
        """Find every frame; nothing is decoded.

        Args:
            file: stays open. begin, end: which of its bytes. bare: the stream is the whole file, so that it must end
                with a whole frame; otherwise its container says where it ends.

        Raises:
            UnreadableAudio: there are no frames, some are missing, or the sample rate or number of channels changes.
        """
        self._file = file
        at = _find(file, begin, end, begin + _LONGEST_JUNK)
        if at is None:
            bits = int.from_bytes(file.read(begin, 4), "big")
            if bits >> 21 == 0x7FF and bits >> 17 & 3 and bits >> 12 & 15 == 0:
                raise file.refusal("MPEG audio of the free format; lame --decode in.mp3 out.wav writes one to use")
            raise file.refusal(f"not readable as audio (no header that is known, no MPEG audio); {KNOWN_KINDS}")
        self._header = header = _Header(_header_at(file, at, end)[0])
        info = _info(file, at, header) if header.layer == 3 else None
        first = at
        if info is not None:
            at += _header_at(file, at, end)[1]
        self._offsets, self._lengths = array("q"), array("H")
        cut = self._scan(at, end)
        self.sample_rate, self.channels = header.rate, header.channels
        self.subtype = f"MPEG_LAYER_{_ROMAN[header.layer]}"
        count = len(self._offsets)
        if bare:
            self._check_whole(info, cut, count, end - first)
        self._skip = 0 if info is None or info.delay is None else info.delay + _DECODER_DELAY
        self.frames = count * header.samples - self._skip
        # Several files in one: the first one's padding is not at the end.
        reach = self._offsets[-1] + self._lengths[-1] - first if count else 0
        joined = info is not None and info.size is not None and reach > info.size * 17 // 16
        if info is not None and not joined:
            self.frames -= max(info.padding - _DECODER_DELAY, 0)
        self.frames = max(self.frames, 0)

    def _scan(self, at: int, end: int) -> bool:
        """Note every frame from `at` on; True: the last one is cut off."""
        file, stream, mono = self._file, self._header.bits & _STREAM, self._header.channels == 1
        block, begin = b"", at
        while at < end:
            if at + 4 > begin + len(block):
                block, begin = file.read(at, min(_BLOCK, end - at)), at
            bits = int.from_bytes(block[at - begin : at - begin + 4], "big")
            if bits & _STREAM == stream and (length := _LENGTHS[bits >> 9 & 0xFFF]) and at + 4 <= end:
                if (bits >> 6 & 3 == 3) != mono:
                    here, there = self._header.channels, _Header(bits).channels
                    raise self._change(f"{here} to {there} channels")
                if at + length > end:
                    return True
                self._offsets.append(at)
                self._lengths.append(length)
                at += length
                continue
            found = _find(file, _after_tag(file, at), end, end)
            if found is None:
                return False
            other = _Header(_header_at(file, found, end)[0])
            if other.bits & _STREAM != stream:
                if other.rate != self._header.rate:
                    raise self._change(f"{self._header.rate} to {other.rate} Hz")
                raise self._change(f"MPEG layer {_ROMAN[self._header.layer]} to {_ROMAN[other.layer]}")
            if file.read(at, 3) not in _TAGS:
                raise file.refusal(
                    f"damaged, {found - at} bytes at {self._seconds():.2f} s are no MPEG audio; get it again, or keep "
                    f"the rest: {_WAY_OUT}"
                )
            at = found
        return False

    def _seconds(self) -> float:
        return len(self._offsets) * self._header.samples / self._header.rate

    def _change(self, what: str) -> Exception:
        return self._file.refusal(f"changes from {what} at {self._seconds():.2f} s; {_WAY_OUT}")

    def _check_whole(self, info: _Info | None, cut: bool, count: int, size: int) -> None:
        """Compare the frames that are there with those that the file promises."""
        promised = None if info is None else info.frames
        stated = None if info is None else info.size
        # Some encoders count the frame that states the length, too.
        counts_itself = promised == count + 1 and not cut and (stated is None or stated <= size)
        if promised is not None and promised > count and not counts_itself:
            raise self._file.refusal(
                f"truncated, its header promises {promised} frames, it holds {count}; get it again, or keep what is "
                f"there: {_WAY_OUT}"
            )
        if (cut and promised != count) or (promised is None and stated is not None and stated > size):
            raise self._file.refusal(
                f"truncated, it ends inside a frame; get it again, or keep what is there: {_WAY_OUT}"
            )

    def read(self, first: int, count: int) -> Float32[np.ndarray, "samples channels"]:
        """Samples `first` to `first + count`, the same bits whichever part is read; nothing else is decoded."""
        samples, wanted = self._header.samples, first + self._skip
        count = min(count, self.frames - first)
        begin, end = wanted // samples, -(-(wanted + count) // samples)
        earlier, held = begin, 0
        while earlier > 0 and (begin - earlier < _OVERLAP or held < self._reservoir or earlier % _ALIGNMENT):
            earlier -= 1
            if begin - earlier > _OVERLAP:
                held += max(self._lengths[earlier] - 4 - 2 - self._header.side_info, 0)
        return self._decoded(earlier, end, wanted - earlier * samples)[:count]

    @property
    def _reservoir(self) -> int:
        return _RESERVOIR if self._header.layer == 3 else 0

    def _decoded(self, begin: int, end: int, skipped: int) -> Float32[np.ndarray, "samples channels"]:
        """Frames `begin` to `end` without the first `skipped` samples.

        The decoder takes its first frame's bit rate for that of all and reads no more than would then be there, unless
        a frame says how many there are; and behind such a frame it drops what it is late by. Silent frames make up for
        it where those samples are wanted.
        """
        header = self._header
        frames = zip(self._offsets[begin:end], self._lengths[begin:end], strict=True)
        content = [self._file.read(at, length) for at, length in frames]
        dropped = _DECODER_DELAY if header.layer == 3 else 0
        lead = [self._silent()] * self._lead(skipped < dropped)
        if header.layer == 3:
            self._silence_undecodable(content)
            content = [self._counting(len(lead) + len(content)), *lead, *content]
        else:  # repeated at the end, since the length is estimated
            content = [*lead, *content, content[-1], content[-1]]
        expected = (len(lead) + end - begin) * header.samples - dropped
        with soundfile.SoundFile(io.BytesIO(b"".join(content))) as decoder:
            found: np.ndarray = decoder.read(expected, dtype="float32", always_2d=True)
        if len(found) != expected:
            raise self._file.refusal(
                f"damaged, {len(found)} of {expected} samples could be decoded from "
                f"{begin * header.samples / header.rate:.2f} s on; get it again, or keep the rest: {_WAY_OUT}"
            )
        return found[len(lead) * header.samples - dropped + skipped :]

    def _lead(self, from_the_first: bool) -> int:
        """Silent frames to begin with, such that sums are rounded as where the decoder reads the file by itself."""
        if self._header.layer == 3 and self._header.version != 3:
            return 1
        return _ALIGNMENT if from_the_first or self._header.layer != 3 else 0

    def _silence_undecodable(self, frames: list[bytes]) -> None:
        """Clear the side information of the first frames as far as they need bytes of earlier ones, which are missing.

        Their main data stay, and what they refer to of earlier ones is all that is there, since later frames need it.
        """
        header, held = self._header, 0
        shift, most = (7, 511) if header.version == 3 else (8, 255)
        for number, frame in enumerate(frames):
            side = 4 if frame[1] & 1 else 6  # behind a checksum
            main = frame[side + header.side_info :]
            if int.from_bytes(frame[side : side + 2], "big") >> shift > held:
                start = bytes((frame[0], frame[1] | 1, frame[2], frame[3] & 0xCF))  # no checksum, no mode extension
                start += (min(held, most) << shift).to_bytes(2, "big")
                frames[number] = start + bytes(len(frame) - 6 - len(main)) + main
            held += len(main)
            if held > most:
                return

    def _silent(self, index: int = 1) -> bytes:
        """A frame of silence with a bit rate of the table; no padding, mode extension or checksum."""
        bits = self._header.bits & ~0xF230 | index << 12 | 1 << 16
        return bits.to_bytes(4, "big").ljust(_LENGTHS[bits >> 9 & 0xFFF], b"\0")

    def _counting(self, frames: int) -> bytes:
        """A frame that says how many follow (Xing)."""
        frame, at = self._silent(9), 4 + self._header.side_info
        return frame[:at] + b"Xing" + (1).to_bytes(4, "big") + frames.to_bytes(4, "big") + frame[at + 12 :]

    def close(self) -> None:
        """Nothing is open between two calls of `read`."""
