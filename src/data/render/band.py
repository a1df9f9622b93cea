"""Clips in which a band plays a tune in the style of the class: songs, dances, guitar pieces."""

from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from src.data.render import corpus, roles
from src.data.render.arrangement import Arrangement, PlannedClip
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
        section: bars in a section.
        shift: semitones from the key of the tune.
        swing: where the second half of a beat begins, 0.5 for straight.
    """

    bars: list[Bar]
    section: int
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
    tune = tune_of(corpus.read(clip.recipe["score"], cache), style["beats"], minor=style.get("minor", False))
    score = _score(tune, style, clip.seconds, rng)
    return Arrangement(tuple(_part(part, score, rng) for part in style["parts"]))


def _score(tune: Tune, style: dict[str, Any], seconds: float, rng: np.random.Generator) -> _Score:
    beat_seconds = 60 / float(rng.uniform(*style["tempo"]))
    length, section = int(seconds / beat_seconds / style["beats"]) + 1, style["section"]
    entry = int(rng.integers(max(len(tune.bars) // PHRASE, 1))) * PHRASE
    shift = int(rng.integers(-LARGEST_SHIFT, LARGEST_SHIFT + 1))
    bars = []
    for index in range(length):
        at = (entry + index) % len(tune.bars)
        chord = tune.chords[at]
        chord = chord._replace(root=(chord.root + shift) % OCTAVE)
        opens, closes = index % section == 0, index % section == section - 1
        bars.append(Bar(chord, tune.bars[at], style["beats"], beat_seconds, opens, closes))
    return _Score(bars, section, shift, float(style.get("swing", 0.5)))


def _part(part: dict[str, Any], score: _Score, rng: np.random.Generator) -> Part:
    drums = part["role"] == "drums"
    patterns = part.get("patterns") or [_octave(part["centre"], score) + score.shift]
    notes: list[Note] = []
    for start in range(0, len(score.bars), score.section):
        # The instrument and its pattern stay for a section, and it may be silent in one.
        pattern = patterns[int(rng.integers(len(patterns)))]
        if rng.random() > part.get("presence", 1.0):
            continue
        for index in range(start, min(start + score.section, len(score.bars))):
            strokes = ROLES[part["role"]](part, pattern, score.bars[index])
            notes += _played(strokes, index, score, part.get("strum", 0.0), rng)
    program = 0 if drums else part["programs"][int(rng.integers(len(part["programs"])))]
    return Part(program, tuple(notes), drums=drums, gain=part.get("gain", 0.0), drive=part.get("drive", 0.0))


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
