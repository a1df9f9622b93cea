"""SoundFont 2 files: which one a rendering uses, and how its recordings play a key.

After the SoundFont Technical Specification 2.04 (E-mu Systems, 2006); section numbers below are its own. Left out:
modulators other than velocity's, the LFOs, stereo, chorus and reverberation, and the filter's movement.
"""

import functools
import hashlib
import importlib.util
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int16

from src.errors import UserError

FLUID = Path("/usr/share/sounds/sf2/FluidR3_GM.sf2")
LICENCES = {"FluidR3_GM.sf2": "MIT", "TimGM6mb.sf2": "GPL-2.0-or-later"}


@dataclass(frozen=True)
class SoundFont:
    """A sound font in SoundFont 2 format.

    Attributes:
        path: the file.
        sha256: of its content, hexadecimal.
        licence: of its samples, `not stated` for a font unknown here.
    """

    path: Path
    sha256: str
    licence: str

    @property
    def name(self) -> str:
        """File name, e.g. `TimGM6mb.sf2`."""
        return self.path.name


def bundled() -> Path:
    """The small sound font that pretty_midi brings, found without importing it.

    Raises:
        UserError: pretty_midi is not installed.
    """
    spec = importlib.util.find_spec("pretty_midi")
    if spec is None or not spec.submodule_search_locations:
        raise UserError("no sound font: expected pretty_midi's TimGM6mb.sf2; install it with: pip install pretty_midi")
    return Path(spec.submodule_search_locations[0]) / "TimGM6mb.sf2"


def find(wanted: Path | None) -> SoundFont:
    """The sound font to use: the one wanted, else Debian's FluidR3 where installed, else pretty_midi's own.

    Raises:
        UserError: the file wanted is missing or is no sound font.
    """
    path = wanted or (FLUID if FLUID.is_file() else bundled())
    if not path.is_file():
        raise UserError(
            f"sound font {path}: no such file; name an .sf2 file, or none to use pretty_midi's TimGM6mb.sf2"
        )
    return _described(path.resolve())


@functools.cache
def _described(path: Path) -> SoundFont:
    with path.open("rb") as file:
        if file.read(12)[8:] != b"sfbk":
            raise UserError(f"sound font {path}: not in SoundFont 2 format (no 'sfbk' at byte 8); name an .sf2 file")
        file.seek(0)
        sha256 = hashlib.file_digest(file, "sha256").hexdigest()
    return SoundFont(path, sha256, LICENCES.get(path.name, "not stated"))


DRUM_BANK = 128
RIGHT = 2  # type of a recording that is the right one of a stereo pair: clips have one channel, the left
Generators = dict[int, int]

# Generators (section 8.1.2) by their numbers, with the value that holds where a zone says nothing (section 8.1.3).
START, END, LOOP_START, LOOP_END = 0, 1, 2, 3
START_COARSE, END_COARSE, LOOP_START_COARSE, LOOP_END_COARSE = 4, 12, 45, 50
CUTOFF, ENVELOPE_TO_CUTOFF = 8, 11
DELAY, ATTACK, HOLD, DECAY, SUSTAIN, RELEASE, KEY_TO_HOLD, KEY_TO_DECAY = 33, 34, 35, 36, 37, 38, 39, 40
INSTRUMENT, KEYS, VELOCITIES, ATTENUATION = 41, 43, 44, 48
COARSE_TUNE, FINE_TUNE, SAMPLE, MODES, SCALE_TUNING, ROOT = 51, 52, 53, 54, 56, 58
DEFAULTS = {CUTOFF: 13500, SCALE_TUNING: 100, ROOT: -1} | dict.fromkeys((DELAY, ATTACK, HOLD, DECAY, RELEASE), -12000)
# The hardware that fonts were made for attenuated by 0.4 of the number in the file, and fonts are voiced for that.
ATTENUATION_SCALE = 0.4


@dataclass(frozen=True)
class Zone:
    """A stretch of recorded sound and how a key plays it.

    Attributes:
        keys: lowest and highest MIDI key. velocities: likewise.
        start: first sample. end: one past the last. loop: first sample and one past the last, None if played once.
        sample_rate: of the recording, in Hz.
        root: key at which it sounds as recorded, with its tuning, e.g. 60.1. scale: semitones per key.
        gain: factor.
        delay, attack, hold: seconds. decay, release: seconds to fade by 100 dB. sustain: where the decay stops, in dB.
        key_to_hold, key_to_decay: how much shorter a higher key's are, in time cents per key.
        cutoff: of the low-pass filter at its most open, in Hz.
    """

    keys: tuple[int, int]
    velocities: tuple[int, int]
    start: int
    end: int
    loop: tuple[int, int] | None
    sample_rate: int
    root: float
    scale: float
    gain: float
    delay: float
    attack: float
    hold: float
    decay: float
    sustain: float
    release: float
    key_to_hold: int
    key_to_decay: int
    cutoff: float


class Font:
    """An opened sound font.

    Attributes:
        path: the file.
        samples: all recordings one after another, mapped from the file and not read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        chunks = dict(_chunks(path))
        offset, size = chunks[b"smpl"]
        self.samples: Int16[np.ndarray, " samples"] = np.memmap(path, "<i2", "r", offset, (size // 2,))
        records = {name: _records(path, *chunks[name], layout) for name, layout in _LAYOUTS.items()}
        self._headers = records[b"shdr"]
        self._instruments = _zones_by_owner(records[b"inst"], 1, records[b"ibag"], records[b"igen"])
        presets = _zones_by_owner(records[b"phdr"], 3, records[b"pbag"], records[b"pgen"])
        self._presets = {(one[2], one[1]): zones for one, zones in zip(records[b"phdr"], presets, strict=False)}

    def zones(self, program: int, *, drums: bool) -> list[Zone]:
        """Zones of a General MIDI program, or of the drum kit.

        Raises:
            UserError: the font has no such program.
        """
        key = (DRUM_BANK, 0) if drums else (0, program)
        if key not in self._presets:
            wanted = "drum kit (bank 128)" if drums else f"program {program}"
            raise UserError(f"sound font {self.path}: has no {wanted}; choose one with all of General MIDI's programs")
        found = []
        for outer in _with_global(self._presets[key], INSTRUMENT):
            for inner in _with_global(self._instruments[outer[INSTRUMENT]], SAMPLE):
                header = self._headers[inner[SAMPLE]]
                if header[-1] != RIGHT:
                    found.append(_zone(outer, inner, header))
        return found


# Records of the tables we read (section 7), little-endian.
_LAYOUTS = {
    b"phdr": "<20sHHHIII",
    b"pbag": "<HH",
    b"pgen": "<Hh",
    b"inst": "<20sH",
    b"ibag": "<HH",
    b"igen": "<Hh",
    b"shdr": "<20sIIIIIBbHH",
}
Record = tuple[Any, ...]  # a name of 20 bytes may come first, the rest are integers


def _chunks(path: Path) -> Iterator[tuple[bytes, tuple[int, int]]]:
    """(name, (offset, size)) of the chunks inside the file's three lists."""
    with path.open("rb") as file:
        file.seek(12)
        while len(head := file.read(8)) == 8:
            name, size = struct.unpack("<4sI", head)
            if name == b"LIST":
                file.seek(4, 1)
                continue
            yield name, (file.tell(), size)
            file.seek(size + size % 2, 1)


def _records(path: Path, offset: int, size: int, layout: str) -> list[Record]:
    with path.open("rb") as file:
        file.seek(offset)
        return list(struct.iter_unpack(layout, file.read(size)))


def _zones_by_owner(
    owners: list[Record], column: int, bags: list[Record], table: list[Record]
) -> list[list[Generators]]:
    """For each preset or instrument its zones; the last owner of a table only marks the end of the one before."""
    zones = [{record[0]: record[1] for record in table[bag[0] : after[0]]} for bag, after in pairwise(bags)]
    return [zones[one[column] : after[column]] for one, after in pairwise(owners)]


def _with_global(zones: list[Generators], link: int) -> Iterator[Generators]:
    """Zones that link to something, with what the first zone says if that links to nothing (section 7.3)."""
    common = zones[0] if zones and link not in zones[0] else {}
    return ({**common, **zone} for zone in zones if link in zone)


def _range(zone: Generators, kind: int) -> tuple[int, int]:
    amount = zone.get(kind, 127 << 8) & 0xFFFF
    return amount & 0xFF, amount >> 8


def _seconds(time_cents: int) -> float:
    return float(2.0 ** (time_cents / 1200))


def _zone(outer: Generators, inner: Generators, header: Record) -> Zone:
    def value(kind: int) -> int:
        return inner.get(kind, DEFAULTS.get(kind, 0)) + outer.get(kind, 0)  # a preset adds (section 9.4)

    def address(base: int, fine: int, coarse: int) -> int:
        return base + inner.get(fine, 0) + 32768 * inner.get(coarse, 0)

    def shared(kind: int) -> tuple[int, int]:
        (low, high), (lowest, highest) = _range(inner, kind), _range(outer, kind)
        return max(low, lowest), min(high, highest)

    _, start, end, loop_start, loop_end, sample_rate, original, correction, *_ = header
    root = inner.get(ROOT, -1) if inner.get(ROOT, -1) >= 0 else original
    tuning = value(COARSE_TUNE) + (value(FINE_TUNE) + correction) / 100
    scale = value(SCALE_TUNING) / 100
    loop = (address(loop_start, LOOP_START, LOOP_START_COARSE), address(loop_end, LOOP_END, LOOP_END_COARSE))
    return Zone(
        keys=shared(KEYS),
        velocities=shared(VELOCITIES),
        start=address(start, START, START_COARSE),
        end=address(end, END, END_COARSE),
        loop=loop if inner.get(MODES, 0) & 1 and loop[1] > loop[0] else None,
        sample_rate=sample_rate,
        root=root - tuning / scale if scale else root,
        scale=scale,
        gain=10 ** (-ATTENUATION_SCALE * value(ATTENUATION) / 200),
        delay=_seconds(value(DELAY)),
        attack=_seconds(value(ATTACK)),
        hold=_seconds(value(HOLD)),
        decay=_seconds(value(DECAY)),
        sustain=-max(value(SUSTAIN), 0) / 10,
        release=_seconds(value(RELEASE)),
        key_to_hold=value(KEY_TO_HOLD),
        key_to_decay=value(KEY_TO_DECAY),
        cutoff=8.176 * _seconds(value(CUTOFF) + max(value(ENVELOPE_TO_CUTOFF), 0)),
    )
