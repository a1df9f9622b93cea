"""Clips in which a band plays a tune in the style of the class: songs, dances, guitar pieces."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from src.data.render import corpus, roles
from src.data.render.arrangement import Arrangement, PlannedClip, Song
from src.data.render.description import ClassDescription
from src.data.render.roles import Bar, Stroke
from src.data.render.sampler import Note, Part
from src.data.render.tune import OCTAVE, Tune, tune_of

HUMAN_TIMING, HUMAN_VELOCITY = 0.006, 0.04  # seconds and velocity, standard deviations
PHRASE = 4  # bars; tunes are entered at the start of a phrase
LARGEST_SHIFT = 5  # semitones up or down from the key the tune is written in

Role = Callable[[dict[str, Any], Any, Bar], Iterator[Stroke]]
ROLES: dict[str, Role] = {"drums": roles.drums, "line": roles.line, "chords": roles.chords, "tune": roles.tune}


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
        heads = {int(stroke.onset): stroke for stroke in reversed(list(roles.tune(part, shift, bar)))}
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
