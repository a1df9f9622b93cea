"""Notes to samples: symusic sounds every note once, and they are mixed here.

symusic 0.5.9 plays a note's samples in tune and loops them, but ignores velocity, controllers and the decay of the
volume envelope, so a soft note is as loud as a strong one and a guitar never fades. Velocity, decay and release are
therefore applied here, note by note.
"""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import Float32
from scipy import signal
from symusic import core

# Interpolation: 0 leaves images of the samples' spectrum at the top of the spectrogram, 4 costs seven times as much
# as 2, and 5 and 6 are silent.
QUALITY = 2
# symusic never returns from some notes above 100: the loop of the sample, transposed up, has no length left.
# Fonts are silent above or below the range of some instruments, too.
LOWEST, HIGHEST = 21, 96
SILENCE = 1e-3
CACHE_BYTES = 192 * 2**20
LAYERS = 5
TICKS_PER_QUARTER = 480  # asked for by symusic, unused where times are in seconds
REFERENCE_LEVEL = 0.1
MIDDLE_C = 60


class Family(NamedTuple):
    """How one of General MIDI's groups of eight programs fades.

    Attributes:
        decay: seconds until middle C has faded by 60 dB, 0 for a sustained sound; halved every two octaves up.
        release: seconds until a released note has faded by 60 dB.
    """

    decay: float
    release: float


# Piano, mallets, organ, guitar, bass, strings, ensembles, brass, reeds, pipes, leads, pads, then effects and others.
FAMILIES = (
    Family(9.0, 0.3),
    Family(4.0, 0.8),
    Family(0.0, 0.1),
    Family(5.0, 0.2),
    Family(7.0, 0.1),
    Family(0.0, 0.3),
    Family(0.0, 0.4),
    Family(0.0, 0.15),
    Family(0.0, 0.12),
    Family(0.0, 0.15),
    Family(0.0, 0.1),
    Family(0.0, 0.6),
    Family(6.0, 0.4),
    Family(2.0, 0.3),
    Family(2.0, 0.3),
    Family(2.0, 0.3),
)
# Programs unlike their group: overdriven guitars sustain; plucked strings, harp and timpani do not.
EXCEPTIONS = {29: Family(20.0, 0.08), 30: Family(20.0, 0.08), 45: Family(1.0, 0.3), 46: Family(4.0, 1.0)}
DRUMS = Family(0.0, 0.05)


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


class Sampler:
    """Plays parts with the instruments of one sound font; not for several threads at once.

    Attributes:
        sample_rate: in Hz.
    """

    def __init__(self, font: Path, sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._synthesizer = core.Synthesizer(str(font), sample_rate, QUALITY)
        self._bank: OrderedDict[tuple[int, bool, int, int, float], Float32[np.ndarray, " samples"]] = OrderedDict()
        self._bytes = 0
        self._levels: dict[tuple[int, bool], float] = {}

    def mix(self, parts: Sequence[Part], seconds: float) -> Float32[np.ndarray, " samples"]:
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

    def _add(self, track: Float32[np.ndarray, " samples"], part: Part, note: Note) -> None:
        family = DRUMS if part.drums else EXCEPTIONS.get(part.program, FAMILIES[part.program // 8])
        start = round(note.onset * self.sample_rate)
        sound = self._sound(part, note, family)[: max(len(track) - start, 0)]
        held = min(round(note.duration * self.sample_rate), len(sound))
        # Loudness grows with the square of the velocity (SoundFont 2.04, section 8.4.1: 40 dB from velocity 127 to 13).
        gain = np.float32(note.velocity**2)
        track[start : start + held] += gain * sound[:held]
        fading = sound[held : held + round(family.release * self.sample_rate)]
        track[start + held : start + held + len(fading)] += gain * self._ramp(family.release)[: len(fading)] * fading

    def _ramp(self, seconds: float) -> Float32[np.ndarray, " samples"]:
        length = round(seconds * self.sample_rate)
        return np.float32(10.0) ** np.linspace(0.0, -3.0, length, dtype=np.float32)

    def _sound(self, part: Part, note: Note, family: Family) -> Float32[np.ndarray, " samples"]:
        # Lengths are rounded up to powers of two, so that few renderings serve many notes.
        length = 2.0 ** np.ceil(np.log2(max(note.duration + family.release, 0.125)))
        layer = max(1, min(LAYERS, round(note.velocity * LAYERS)))
        key = (part.program, part.drums, note.pitch, layer, float(length))
        if key in self._bank:
            self._bank.move_to_end(key)
            return self._bank[key]
        sound = self._render(part.program, part.drums, note.pitch, layer, float(length))
        if family.decay:
            rate = family.decay * 2.0 ** ((MIDDLE_C - note.pitch) / 24)
            sound *= np.float32(10.0) ** (
                np.arange(len(sound), dtype=np.float32) * np.float32(-3 / rate / self.sample_rate)
            )
        self._bank[key] = sound
        self._bytes += sound.nbytes
        while self._bytes > CACHE_BYTES:
            self._bytes -= self._bank.popitem(last=False)[1].nbytes
        return sound

    def _render(
        self, program: int, drums: bool, pitch: int, layer: int, seconds: float
    ) -> Float32[np.ndarray, " samples"]:
        """A held note; where the font has none, the one an octave below at twice the speed."""
        if drums or pitch <= HIGHEST:
            sound = self._sounded(program, drums, pitch, layer, seconds)
            if drums or pitch - 12 < LOWEST or float(np.abs(sound).max(initial=0.0)) > SILENCE:
                return sound
        lower = self._render(program, drums, pitch - 12, layer, 2 * seconds)
        return np.asarray(signal.resample_poly(lower, 1, 2), np.float32)

    def _sounded(
        self, program: int, drums: bool, pitch: int, layer: int, seconds: float
    ) -> Float32[np.ndarray, " samples"]:
        track = core.TrackSecond("", program, drums)
        track.notes.append(core.NoteSecond(0.0, seconds, pitch, min(127, layer * 127 // LAYERS)))
        score = core.ScoreSecond(TICKS_PER_QUARTER)
        score.tracks.append(track)
        sound = np.zeros(round(seconds * self.sample_rate), np.float32)
        played = np.asarray(self._synthesizer.render(score, stereo=False), np.float32)[0][: len(sound)]
        sound[: len(played)] = played
        return sound

    def _level(self, program: int, drums: bool) -> float:
        """What brings the program to the reference level: measured on middle C, or on the bass drum."""
        if (program, drums) not in self._levels:
            sound = self._render(program, drums, 36 if drums else MIDDLE_C, 4, 0.25)
            self._levels[program, drums] = float(np.sqrt(np.mean(sound**2))) / REFERENCE_LEVEL
        return self._levels[program, drums]
