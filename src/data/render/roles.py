"""What the members of a band play, bar by bar: drums, a line of single notes, chords, the tune.

A pattern is a string that divides a bar into equal steps. `X`, `x` and `o` strike strongly, normally and softly, `-`
holds, `.` rests. A line has digits instead: which tone of the chord (1, 3, 5, or 8 for the root an octave up).
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from src.data.render.tune import OCTAVE, Chord, TuneNote

STROKES = {"X": 1.0, "x": 0.8, "o": 0.55}
LINE_VELOCITY, TUNE_VELOCITY = 0.8, 0.85
CYMBALS = {46, 49, 51, 52, 53, 55, 57, 59}
CYMBAL_RINGS, DRUM_RINGS = 1.2, 0.35  # seconds
CRASH = 49


class Bar(NamedTuple):
    """Where the band is.

    Attributes:
        chord: of this bar. tune: of this bar. beats: its length.
        beat_seconds: at the band's tempo.
        opens: first bar of a section. closes: last bar of a section.
    """

    chord: Chord
    tune: tuple[TuneNote, ...]
    beats: int
    beat_seconds: float
    opens: bool
    closes: bool


class Stroke(NamedTuple):
    """A note before swing and human timing: onset and duration in beats from the start of the bar."""

    onset: float
    duration: float
    pitch: int
    velocity: float


def drums(part: dict[str, Any], pattern: dict[int, str], bar: Bar) -> Iterator[Stroke]:
    """Each drum has a pattern of its own; the last bar of a section may have a fill, the first a crash."""
    played = part["fill"] if bar.closes and "fill" in part else pattern
    if bar.opens and part.get("crash"):
        yield Stroke(0.0, CYMBAL_RINGS / bar.beat_seconds, CRASH, 0.9)
    for drum, steps in played.items():
        rings = (CYMBAL_RINGS if drum in CYMBALS else DRUM_RINGS) / bar.beat_seconds
        for onset, _, symbol in _struck(steps, bar.beats):
            yield Stroke(onset, rings, drum, STROKES[symbol])


def line(part: dict[str, Any], pattern: str, bar: Bar) -> Iterator[Stroke]:
    """Tones of the chord one after another: a bass, or broken chords."""
    root = nearest(bar.chord.root, part["centre"])
    first, third, fifth = bar.chord.tones
    tones = {"1": first, "3": third, "5": fifth, "8": OCTAVE, "0": OCTAVE + third}
    for onset, duration, symbol in _struck(pattern, bar.beats):
        stress = 0.1 if onset == 0 else 0.0
        yield Stroke(onset, duration, root + tones[symbol], LINE_VELOCITY + stress)


def chords(part: dict[str, Any], pattern: str, bar: Bar) -> Iterator[Stroke]:
    """The whole chord at once: as power chord (root, fifth, octave) or triad in close position."""
    if part["voicing"] == "power":
        root = nearest(bar.chord.root, part["centre"])
        pitches = [root, root + 7, root + OCTAVE]
    else:
        pitches = sorted(nearest((bar.chord.root + tone) % OCTAVE, part["centre"]) for tone in bar.chord.tones)
    for onset, duration, symbol in _struck(pattern, bar.beats):
        for pitch in pitches:
            yield Stroke(onset, duration, pitch, STROKES[symbol])


def tune(part: dict[str, Any], shift: int, bar: Bar) -> Iterator[Stroke]:
    """The melody, `shift` semitones away from where the tune is written."""
    for onset, duration, pitch in bar.tune:
        stress = 0.1 if onset == 0 else 0.0
        yield Stroke(onset, duration * part.get("legato", 0.92), pitch + shift, TUNE_VELOCITY + stress)


def nearest(pitch_class: int, centre: int) -> int:
    """The pitch of this class nearest to the centre."""
    return centre + (pitch_class - centre + OCTAVE // 2) % OCTAVE - OCTAVE // 2


def _struck(pattern: str, beats: int) -> Iterator[tuple[float, float, str]]:
    """(onset, duration in beats, symbol) of the strokes; each lasts its step and the holds after it."""
    step = beats / len(pattern)
    for index, symbol in enumerate(pattern):
        if symbol not in ".-":
            held = len(pattern[index + 1 :]) - len(pattern[index + 1 :].lstrip("-"))
            yield index * step, (held + 1) * step, symbol
