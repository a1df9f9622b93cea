"""Clips in which a band plays a tune in the style of the class: songs, dances, guitar pieces.

A tune of the corpus is laid out in bars and harmonised. Each member of the band plays a pattern over its chords.
Swing and human timing then place the strokes in time.

A pattern is a string that divides a bar into equal steps. `X`, `x` and `o` strike strongly, normally and softly, `-`
holds, `.` rests. A line has digits instead: which tone of the chord (1, 3, 5, or 8 for the root an octave up).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from src.data.render import corpus
from src.data.render.corpus import Score
from src.data.render.description import ClassDescription, PlannedClip
from src.data.render.sampler import Arrangement, Note, Part, Song

OCTAVE = 12
# What a major key's third, sixth and seventh become in minor.
LOWERED = {4: 3, 9: 8, 11: 10}


class TuneNote(NamedTuple):
    """Onset and duration in beats from the start of the bar, MIDI pitch."""

    onset: float
    duration: float
    pitch: int


class Chord(NamedTuple):
    """A triad: pitch class of its root, 0 is C, and whether its third is minor."""

    root: int
    minor: bool

    @property
    def tones(self) -> tuple[int, int, int]:
        """Semitones of root, third and fifth above the root."""
        return (0, 3 if self.minor else 4, 7)


@dataclass(frozen=True)
class Tune:
    """A melody bar by bar, with one chord per bar."""

    bars: tuple[tuple[TuneNote, ...], ...]
    chords: tuple[Chord, ...]


# Triads that a tune is harmonised with: (degree above the tonic, minor third, how readily it is taken).
MAJOR = ((0, False, 0.3), (7, False, 0.2), (5, False, 0.2), (9, True, 0.0), (2, True, 0.0))
MINOR = (
    (0, True, 0.3),
    (7, True, 0.0),
    (7, False, 0.15),
    (5, True, 0.2),
    (8, False, 0.1),
    (10, False, 0.1),
    (3, False, 0.1),
)
MEMBER = {0: 1.2, 1: 1.1, 2: 1.0}
FOREIGN, FIRST_BEAT, CHORD_CHANGE, HALF_CLOSE = -0.3, 2.0, 0.2, 0.5


def tune_of(score: Score, beats: int, *, minor: bool) -> Tune:
    """The tune of a score in bars of `beats` beats; `minor` turns a tune in major into one in minor.

    A bar of 2/4 fills a bar of four beats; one of 6/8 fills two bars of three.
    """
    scale = 2.0 if score.metre in ("2/4", "6/8") else 1.0
    count = max(1, round(score.quarters * scale / beats))
    bars: list[list[TuneNote]] = [[] for _ in range(count)]
    lower = minor and not score.minor
    for onset, duration, pitch in score.parts[0]:
        bar, beat = divmod(onset * scale, beats)
        if bar < count:
            degree = (pitch - score.tonic) % OCTAVE
            lowered = pitch + (LOWERED.get(degree, degree) - degree if lower else 0)
            bars[int(bar)].append(TuneNote(beat, duration * scale, lowered))
    frozen = tuple(tuple(bar) for bar in bars)
    return Tune(frozen, harmonised(frozen, score.tonic, minor=score.minor or minor))


def harmonised(bars: tuple[tuple[TuneNote, ...], ...], tonic: int, *, minor: bool) -> tuple[Chord, ...]:
    """For each bar the triad of the key that its notes fit best, ending on the tonic."""
    chosen: list[Chord] = []
    for index, bar in enumerate(bars):
        left = len(bars) - 1 - index
        best, most = Chord(tonic, minor), float("-inf")
        for degree, third, readiness in MINOR if minor else MAJOR:
            chord = Chord((tonic + degree) % OCTAVE, third)
            score = readiness + _fit(bar, chord)
            score += CHORD_CHANGE if chosen and chosen[-1] != chord else 0.0
            score += HALF_CLOSE if left == 1 and degree == 7 else 0.0
            if score > most:
                best, most = chord, score
        chosen.append(best if left else Chord(tonic, minor))
    return tuple(chosen)


def _fit(bar: tuple[TuneNote, ...], chord: Chord) -> float:
    fit = 0.0
    for onset, duration, pitch in bar:
        degree = (pitch - chord.root) % OCTAVE
        member = MEMBER[chord.tones.index(degree)] if degree in chord.tones else FOREIGN
        fit += duration * (FIRST_BEAT if onset < 0.01 else 1.0) * member
    return fit


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


def drum_strokes(part: dict[str, Any], pattern: dict[int, str], bar: Bar) -> Iterator[Stroke]:
    """Each drum has a pattern of its own; the last bar of a section may have a fill, the first a crash."""
    played = part["fill"] if bar.closes and "fill" in part else pattern
    if bar.opens and part.get("crash"):
        yield Stroke(0.0, CYMBAL_RINGS / bar.beat_seconds, CRASH, 0.9)
    for drum, steps in played.items():
        rings = (CYMBAL_RINGS if drum in CYMBALS else DRUM_RINGS) / bar.beat_seconds
        for onset, _, symbol in _struck(steps, bar.beats):
            yield Stroke(onset, rings, drum, STROKES[symbol])


def line_strokes(part: dict[str, Any], pattern: str, bar: Bar) -> Iterator[Stroke]:
    """Tones of the chord one after another: a bass, or broken chords."""
    root = nearest(bar.chord.root, part["centre"])
    first, third, fifth = bar.chord.tones
    tones = {"1": first, "3": third, "5": fifth, "8": OCTAVE, "0": OCTAVE + third}
    for onset, duration, symbol in _struck(pattern, bar.beats):
        stress = 0.1 if onset == 0 else 0.0
        yield Stroke(onset, duration, root + tones[symbol], LINE_VELOCITY + stress)


def chord_strokes(part: dict[str, Any], pattern: str, bar: Bar) -> Iterator[Stroke]:
    """The whole chord at once: as power chord (root, fifth, octave) or triad in close position."""
    if part["voicing"] == "power":
        root = nearest(bar.chord.root, part["centre"])
        pitches = [root, root + 7, root + OCTAVE]
    else:
        pitches = sorted(nearest((bar.chord.root + tone) % OCTAVE, part["centre"]) for tone in bar.chord.tones)
    for onset, duration, symbol in _struck(pattern, bar.beats):
        for pitch in pitches:
            yield Stroke(onset, duration, pitch, STROKES[symbol])


def tune_strokes(part: dict[str, Any], shift: int, bar: Bar) -> Iterator[Stroke]:
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


HUMAN_TIMING, HUMAN_VELOCITY = 0.006, 0.04  # seconds and velocity, standard deviations
PHRASE = 4  # bars; tunes are entered at the start of a phrase
LARGEST_SHIFT = 5  # semitones up or down from the key the tune is written in

Role = Callable[[dict[str, Any], Any, Bar], Iterator[Stroke]]
ROLES: dict[str, Role] = {
    "drums": drum_strokes,
    "line": line_strokes,
    "chords": chord_strokes,
    "tune": tune_strokes,
}


def plan(one: ClassDescription, rng: np.random.Generator) -> Iterator[PlannedClip]:
    """Clips without end: every tune once, in an order of the seed's, then all again in other arrangements."""
    tunes = corpus.tunes(one.settings["tunes"], tuple(one.settings["metres"]))
    order = rng.permutation(len(tunes))
    for version in count():
        for index in order:
            tune = tunes[index]
            yield PlannedClip(
                label=one.label,
                name=Path(tune).stem + (f"_v{version}" if version else ""),
                group=Path(tune).stem,
                source=f"music21 corpus {tune}",
                seconds=round(float(rng.uniform(*one.seconds)), 1),
                recipe={"score": tune},
            )


class _Score(NamedTuple):
    """The band's sheet: what is played when.

    Attributes:
        bars: all bars of the clip.
        shift: semitones from the key of the tune.
        swing: where the second half of a beat begins, 0.5 for straight.
    """

    bars: list[Bar]
    shift: int
    swing: float

    def seconds(self, bar: int, beat: float) -> float:
        whole, part = divmod(beat, 1.0)
        swung = part * self.swing / 0.5 if part < 0.5 else self.swing + (part - 0.5) * (1 - self.swing) / 0.5
        one = self.bars[bar]
        return (bar * one.beats + whole + swung) * one.beat_seconds


def arrange(clip: PlannedClip, one: ClassDescription, rng: np.random.Generator, cache: Path) -> Arrangement:
    """A band playing the clip's tune; tempo, key, instruments and patterns are drawn within what the style allows."""
    style = one.settings
    minor = bool(rng.random() < style["minor"])
    tune = tune_of(corpus.read(clip.recipe["score"], cache), style["beats"], minor=minor)
    score, skip = _score(tune, style, clip.seconds, rng)
    played = [part for part in style["parts"] if part["role"] != "voice"]
    parts = tuple(_part(part, score, style, rng) for part in played)
    singers = [part for part in style["parts"] if part["role"] == "voice"]
    song = _song(singers[0], style["sex"], score, rng) if singers else None
    return Arrangement(parts, song, skip)


def _score(tune: Tune, style: dict[str, Any], seconds: float, rng: np.random.Generator) -> tuple[_Score, float]:
    """The bars of a clip, and how far into the first one it begins: an excerpt begins anywhere, a song at its start."""
    beat_seconds = 60 / float(rng.uniform(*style["tempo"]))
    section, bar_seconds = style["section"], beat_seconds * style["beats"]
    entry = int(rng.integers(max(len(tune.bars) // PHRASE, 1))) * PHRASE
    shift = int(rng.integers(-LARGEST_SHIFT, LARGEST_SHIFT + 1))
    begun = int(rng.integers(section)) if style["excerpt"] else 0
    skip = float(rng.uniform(0, bar_seconds)) if style["excerpt"] else 0.0
    bars = []
    for index in range(int((seconds + skip) / bar_seconds) + 1):
        at = (entry + index) % len(tune.bars)
        chord = tune.chords[at]._replace(root=(tune.chords[at].root + shift) % OCTAVE)
        within = (begun + index) % section
        bars.append(Bar(chord, tune.bars[at], style["beats"], beat_seconds, within == 0, within == section - 1))
    return _Score(bars, shift, float(style.get("swing", 0.5))), skip


def _part(part: dict[str, Any], score: _Score, style: dict[str, Any], rng: np.random.Generator) -> Part:
    drums = part["role"] == "drums"
    patterns = _patterns(part, score, style, rng)
    notes: list[Note] = []
    pattern, silent = patterns[0], False
    for index, bar in enumerate(score.bars):
        if bar.opens or index == 0:
            # The pattern stays for a section, and a part may be silent in one.
            pattern = patterns[int(rng.integers(len(patterns)))]
            silent = rng.random() > part.get("presence", 1.0)
        if not silent:
            notes += _played(ROLES[part["role"]](part, pattern, bar), index, score, part.get("strum", 0.0), rng)
    programs = [0] if drums else part.get("programs") or style["programs"]
    program = programs[int(rng.integers(len(programs)))]
    quietest, loudest = part.get("gain", (0, 0))
    gain = float(rng.uniform(quietest, loudest))
    return Part(program, tuple(notes), drums=drums, gain=gain, drive=float(part.get("drive", 0)))


def _patterns(part: dict[str, Any], score: _Score, style: dict[str, Any], rng: np.random.Generator) -> list[Any]:
    """The part's patterns, its own or the style's of that name; for the tune, how far to move it."""
    if part["role"] == "tune":
        return [_octave(part["centre"], score) + score.shift]
    patterns: list[Any] = style[part["patterns"]] if isinstance(part["patterns"], str) else part["patterns"]
    if "kits" not in part:
        return patterns
    kit = part["kits"][int(rng.integers(len(part["kits"])))]
    return [{kit[voice]: steps for voice, steps in pattern.items()} for pattern in patterns]


def _song(part: dict[str, Any], sex: str, score: _Score, rng: np.random.Generator) -> Song:
    """The tune as a singer has breath for: the first note of each beat, held until the next one changes."""
    centre = part["centre"][sex]
    shift = _octave(centre, score) + score.shift
    sung: list[Note] = []
    silent = False
    for index, bar in enumerate(score.bars):
        if bar.opens or index == 0:
            silent = rng.random() > part.get("presence", 1.0)
        heads = {int(stroke.onset): stroke for stroke in reversed(list(tune_strokes(part, shift, bar)))}
        for stroke in () if silent else (heads[beat] for beat in sorted(heads)):
            begin = score.seconds(index, stroke.onset)
            end = score.seconds(index, min(stroke.onset + max(stroke.duration, 1.0), bar.beats)) - 0.04
            last = sung[-1] if sung else None
            if last and last.pitch == stroke.pitch and begin - last.onset < part["breath"]:
                sung[-1] = last._replace(duration=end - last.onset)
                continue
            if last and last.onset + last.duration > begin:
                sung[-1] = last._replace(duration=begin - last.onset)
            sung.append(Note(begin, end - begin, stroke.pitch, stroke.velocity))
    return Song(tuple(sung), sex, float(rng.uniform(*part["gain"])))


def _octave(centre: int, score: _Score) -> int:
    """Whole octaves that bring the tune's mean pitch nearest to the centre."""
    pitches = [note.pitch for bar in score.bars for note in bar.tune] or [centre]
    return OCTAVE * round((centre - float(np.mean(pitches)) - score.shift) / OCTAVE)


def _played(
    strokes: Iterator[Stroke], bar: int, score: _Score, strum: float, rng: np.random.Generator
) -> Iterator[Note]:
    """Strokes of a bar in seconds, as a player would place them; `strum` is the delay from string to string."""
    last, string = -1.0, 0
    for onset, duration, pitch, velocity in strokes:
        string = string + 1 if onset == last else 0
        last = onset
        begin = score.seconds(bar, onset)
        length = score.seconds(bar, onset + duration) - begin
        begin += string * strum + float(rng.normal(0, HUMAN_TIMING))
        struck = float(np.clip(velocity + rng.normal(0, HUMAN_VELOCITY), 0.1, 1.0))
        yield Note(max(begin, 0.0), max(length, 0.03), pitch, struck)
