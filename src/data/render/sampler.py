"""Mixing of notes: each is sounded once from the sound font's recordings, then added wherever it occurs."""

import functools
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32, Float64, Int64
from scipy import signal

from src.data.render.sound_font import Font, Zone

Samples = Float32[np.ndarray, " samples"]
Numbers = Int64[np.ndarray, " samples"]

# Longer blocks leave the processor's cache and take four times as long.
BLOCK = 16384
CACHE_BYTES = 256 * 2**20
REFERENCE_LEVEL = 0.1
MIDDLE_C, BASS_DRUM = 60, 36
FULL_SCALE = 32768
NEPERS_PER_DECIBEL = np.log(10) / 20
# Fonts let some strings ring for half a minute after their release; arrangements that change chords need damping.
LONGEST_RELEASE = 0.8  # seconds to fade by 100 dB


class Note(NamedTuple):
    """One note: onset and duration in seconds, MIDI pitch (or General MIDI drum), velocity from 0 to 1."""

    onset: float
    duration: float
    pitch: int
    velocity: float


@dataclass(frozen=True)
class Part:
    """What one instrument plays.

    Attributes:
        program: General MIDI program, 0 to 127.
        notes: in any order.
        drums: the pitches are drums.
        gain: in dB, against a level that is the same for every program.
        drive: how hard the sum of its notes is overdriven, 0 for not at all.
    """

    program: int
    notes: tuple[Note, ...]
    drums: bool = False
    gain: float = 0.0
    drive: float = 0.0


@dataclass(frozen=True)
class Song:
    """A part sung by a synthetic voice: its notes, `female` or `male`, and its level against the parts in dB."""

    notes: tuple[Note, ...]
    sex: str
    gain: float


@dataclass(frozen=True)
class Arrangement:
    """All that sounds in a clip, and how many seconds of it pass before the clip begins."""

    parts: tuple[Part, ...]
    song: Song | None = None
    skip: float = 0.0


class Sampler:
    """Plays parts with the instruments of one sound font; not for several threads at once.

    Attributes:
        sample_rate: in Hz.
    """

    def __init__(self, font: Path, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._font = Font(font)
        self._zones: dict[tuple[int, bool], list[Zone]] = {}
        self._playing: dict[tuple[int, bool, int], list[Zone]] = {}
        self._bank: OrderedDict[tuple[int, int], Samples] = OrderedDict()
        self._bytes = 0
        self._levels: dict[tuple[int, bool], float] = {}

    def mix(self, parts: Sequence[Part], seconds: float) -> Samples:
        """Sum of all parts, cut after `seconds`; full scale may be exceeded."""
        total = np.zeros(round(seconds * self.sample_rate), np.float32)
        for part in parts:
            track = np.zeros_like(total)
            for note in part.notes:
                self._add(track, part, note)
            track *= np.float32(10 ** (part.gain / 20) / self._level(part.program, part.drums))
            if part.drive:
                track = np.tanh(track * np.float32(part.drive / REFERENCE_LEVEL)) * np.float32(REFERENCE_LEVEL)
            total += track
        return total

    def _add(self, track: Samples, part: Part, note: Note) -> None:
        start = round(note.onset * self.sample_rate)
        held = max(min(round(note.duration * self.sample_rate), len(track) - start), 0)
        # Amplitude grows with the square of the velocity (section 8.4.1 of the specification).
        gain = np.float32(note.velocity**2)
        for zone in self.playing_zones(part.program, part.drums, note.pitch, round(note.velocity * 127)):
            release = _release(min(zone.release, LONGEST_RELEASE), self.sample_rate)
            release = release[: max(len(track) - start - held, 0)]
            sound = self._sound(zone, note.pitch, held + len(release))
            track[start : start + held] += gain * sound[:held]
            track[start + held : start + held + len(release)] += (gain * release) * sound[held:]

    def playing_zones(self, program: int, drums: bool, pitch: int, velocity: int) -> list[Zone]:
        """Zones of the sound font that sound for a key, those of other keys stretched where it has none."""
        key = (program, drums, pitch)
        if key not in self._playing:
            if (program, drums) not in self._zones:
                self._zones[program, drums] = self._font.zones(program, drums=drums)
            zones = self._zones[program, drums]
            # Keys that no recording was made for sound like the nearest one with a recording, as far as pitch allows.
            away = [max(zone.keys[0] - pitch, pitch - zone.keys[1], 0) for zone in zones]
            self._playing[key] = [zone for zone, keys in zip(zones, away, strict=True) if keys == min(away)]
        return [zone for zone in self._playing[key] if zone.velocities[0] <= velocity <= zone.velocities[1]]

    def _sound(self, zone: Zone, pitch: int, length: int) -> Samples:
        key = (id(zone), pitch)
        kept = self._bank.pop(key, None)
        if kept is None or len(kept) < length:
            self._bytes -= 0 if kept is None else kept.nbytes
            # A longer sounding begins with the samples of a shorter one, so what was played before does not matter.
            kept = sounded(self._font, zone, pitch, max(2 ** (length - 1).bit_length(), 4096), self.sample_rate)
            self._bytes += kept.nbytes
        self._bank[key] = kept
        while self._bytes > CACHE_BYTES:
            self._bytes -= self._bank.popitem(last=False)[1].nbytes
        return kept[:length]

    def _level(self, program: int, drums: bool) -> float:
        """What brings the program to the reference level: measured on middle C, or on the bass drum."""
        if (program, drums) not in self._levels:
            pitch, length = BASS_DRUM if drums else MIDDLE_C, round(0.25 * self.sample_rate)
            zones = self.playing_zones(program, drums, pitch, 100)
            sound = sum(self._sound(zone, pitch, length) for zone in zones)
            self._levels[program, drums] = float(np.sqrt(np.mean(np.square(sound)))) / REFERENCE_LEVEL
        return self._levels[program, drums]


@functools.cache
def _release(seconds: float, sample_rate: int) -> Samples:
    """Amplitude after the release: a fall by 100 dB, straight in dB."""
    return np.float32(10.0) ** np.linspace(0.0, -5.0, round(seconds * sample_rate), dtype=np.float32)


def sounded(font: Font, zone: Zone, pitch: int, length: int, sample_rate: int) -> Samples:
    """A held note of `length` samples; full scale of the recording is 1."""
    sound = np.zeros(length, np.float32)
    for first in range(0, length, BLOCK):
        block = np.arange(first, min(first + BLOCK, length))
        played = _played(font, zone, pitch, block, sample_rate)
        sound[first : first + len(played)] = played * _envelope(zone, pitch, block[: len(played)], sample_rate)
    if zone.cutoff < 0.45 * sample_rate:
        sound = np.asarray(signal.sosfilt(_low_pass(zone.cutoff, sample_rate), sound), np.float32)
    return sound


def _played(font: Font, zone: Zone, pitch: int, block: Numbers, sample_rate: int) -> Float32[np.ndarray, " sounding"]:
    """The recording at the speed of the pitch, at these samples of the note; shorter where it has ended."""
    step = 2 ** ((pitch - zone.root) * zone.scale / 12) * zone.sample_rate / sample_rate
    at = block * step
    if zone.loop:
        begin, size = zone.loop[0] - zone.start, zone.loop[1] - zone.loop[0]
        looping = at[np.searchsorted(at, begin + size) :]
        looping -= np.floor((looping - begin) / size) * size
    else:
        at = at[: np.searchsorted(at, zone.end - zone.start - 1)]
    return _interpolated(font, zone.start, at)


@functools.cache
def _low_pass(cutoff: float, sample_rate: int) -> np.ndarray:
    return np.asarray(signal.butter(2, cutoff, fs=sample_rate, output="sos"), np.float32)


def _interpolated(font: Font, start: int, at: Float64[np.ndarray, " samples"]) -> Samples:
    """The recording between its samples: the cubic whose slopes are those of the neighbours' chords (Hermite)."""
    if not len(at):
        return np.zeros(0, np.float32)
    index = at.astype(np.intp)
    x = (at - index).astype(np.float32)
    # One sample before the first and two after the last take part.
    lowest = max(start + int(index.min()) - 1, 0)
    reach = font.samples[lowest : start + int(index.max()) + 3]
    recording = reach.astype(np.float32) / np.float32(FULL_SCALE)
    index += start - lowest
    before, here, after, beyond = (recording.take(index + shift, mode="clip") for shift in (-1, 0, 1, 2))
    slope, slope_after = (after - before) / 2, (beyond - here) / 2
    rise = here - after
    cubic: Samples = here + x * (
        slope + x * (-3 * rise - 2 * slope - slope_after + x * (2 * rise + slope + slope_after))
    )
    return cubic


def _envelope(zone: Zone, pitch: int, block: Numbers, sample_rate: int) -> Samples:
    """Amplitude while held: silence, a straight rise, a pause, then a fall that is straight in dB (section 8.1.2)."""
    seconds = block.astype(np.float32) / np.float32(sample_rate)
    shorter = MIDDLE_C - pitch
    hold = zone.hold * 2 ** (zone.key_to_hold * shorter / 1200)
    decay = zone.decay * 2 ** (zone.key_to_decay * shorter / 1200)
    rising = seconds[: np.searchsorted(seconds, np.float32(zone.delay + zone.attack))]
    falling = seconds - np.float32(zone.delay + zone.attack + hold)
    nepers = np.clip(falling * np.float32(-100 / decay), zone.sustain, 0) * np.float32(NEPERS_PER_DECIBEL)
    amplitude: Samples = np.exp(nepers) * np.float32(zone.gain)
    amplitude[: len(rising)] *= np.clip((rising - np.float32(zone.delay)) / np.float32(zone.attack), 0, 1)
    return amplitude
