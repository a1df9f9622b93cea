"""The pages of Ogg files (RFC 3533): which streams follow each other in a file, and whether each of them is whole."""

from dataclasses import dataclass, field

from src.data.files import RegularFile

_HEADER = 27
_FIRST, _LAST = 2, 4
_CODECS = {b"\x01vorbis": "VORBIS", b"OpusHead": "OPUS", b"\x7fFLAC": "FLAC", b"Speex   ": "SPEEX"}
_WAY_OUT = "get it again, or keep what is there: ffmpeg -i in.ogg out.wav"


@dataclass
class Link:
    """One sound of a chain of them.

    Attributes:
        codec: `VORBIS`, `OPUS`, `FLAC` or `SPEEX`. serial: of its pages. pages: where their bytes are, as (position,
            bytes of the header, bytes of the body). samples: granule position of the last page. alone: no other stream
            has pages between its first and its last.
    """

    codec: str
    serial: int
    pages: list[tuple[int, int, int]] = field(default_factory=list)
    samples: int = 0
    alone: bool = True
    _sequence: int = -1
    _is_complete: bool = False

    @property
    def begin(self) -> int:
        """Position of its first byte."""
        return self.pages[0][0]

    @property
    def end(self) -> int:
        """Position behind its last byte."""
        return sum(self.pages[-1])

    def bytes(self, file: RegularFile, *, bodies: bool = False) -> bytes:
        """Its pages one after the other, or only what is in them."""
        parts = ((at + head, body) if bodies else (at, head + body) for at, head, body in self.pages)
        return b"".join(file.read(at, count) for at, count in parts)


def links(file: RegularFile, at: int) -> list[Link]:
    """The first sound of each link of the chain that begins at position `at`, in order; one link in most files.

    Raises:
        UnreadableAudio: a page is cut off or missing, a stream does not come to its end, or there is no sound.
    """
    found: list[Link] = []
    current: Link | None = None
    in_heads = False
    while at < file.size:
        head = file.read(at, _HEADER + 255)
        if head[:4] != b"OggS":
            following = _next_page(file, at)
            if following is None:
                break  # tags or padding behind the last page
            raise file.refusal(f"damaged, {following - at} bytes at position {at} are no Ogg page; {_WAY_OUT}")
        length = _HEADER + head[26] if len(head) > 26 else len(head) + 1
        body = sum(head[_HEADER:length])
        if at + length + body > file.size:
            raise file.refusal(f"truncated, it ends inside a page; {_WAY_OUT}")
        flags, serial = head[5], int.from_bytes(head[14:18], "little")
        if flags & _FIRST:
            if not in_heads:
                current = None
            codec = next((name for magic, name in _CODECS.items() if file.read(at + length, 8).startswith(magic)), None)
            if codec is not None and current is None:
                found.append(current := Link(codec, serial))
            elif current is not None:
                current.alone = False
        in_heads = bool(flags & _FIRST)
        if current is not None and serial == current.serial:
            _add(file, current, head, (at, length, body))
        at += length + body
    for link in found:
        if not link._is_complete:
            raise file.refusal(f"truncated, its last page is not marked as the end; {_WAY_OUT}")
    if not found:
        raise file.refusal("not readable as audio (an Ogg file without Vorbis, Opus or FLAC)")
    return found


def _add(file: RegularFile, link: Link, head: bytes, page: tuple[int, int, int]) -> None:
    sequence, granule = int.from_bytes(head[18:22], "little"), int.from_bytes(head[6:14], "little", signed=True)
    # A recording of a broadcast begins with the headers and goes on wherever it is.
    if link.samples and sequence != link._sequence + 1:
        raise file.refusal(f"damaged, pages are missing at position {page[0]}; {_WAY_OUT}")
    link.pages.append(page)
    link._sequence = sequence
    link._is_complete = link._is_complete or bool(head[5] & _LAST)
    if granule > 0:
        link.samples = granule


def _next_page(file: RegularFile, at: int) -> int | None:
    while at < file.size:
        block = file.read(at, 1 << 16)
        if (place := block.find(b"OggS")) >= 0:
            return at + place
        if len(block) < 4:
            break
        at += len(block) - 3
    return None
