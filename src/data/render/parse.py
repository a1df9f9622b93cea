"""music21's reading of a score, reduced to notes; imported only for scores that are not in the cache yet."""

import warnings
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

from music21 import chord, converter, key, meter, note, stream

from src.data.render.corpus import Score, ScoreNote

SEMITONES = 12


class _Tied(NamedTuple):
    onset: float
    duration: float
    pitch: int
    tie: str


def parse(path: Path, name: str) -> Score:
    """Reads a score file; repeats are not taken (music21 cannot unfold all of them), grace notes are left out."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # overfull bars, which the corpus has a few of
        score = converter.parse(path, forceSource=True, storePickle=False)
    if not isinstance(score, stream.Score):
        raise ValueError(f"{name}: holds several scores; expected one")
    tonic, minor = _key(next(iter(score.recurse().getElementsByClass(key.KeySignature)), None))
    metres = score.parts[0].recurse().getElementsByClass(meter.TimeSignature)
    # An upbeat is written as a short bar with a time signature of its own; the true one is the longest.
    lengths = {_number(one.barDuration.quarterLength): one.ratioString for one in reversed(list(metres))}
    bar = max(lengths, default=4.0)
    tied = (_tune(part, bar) if path.suffix == ".abc" else _part(part) for part in score.parts)
    parts = tuple(joined for joined in map(_join_ties, tied) if joined)
    quarters = max(onset + duration for part in parts for onset, duration, _ in part)
    title = (score.metadata.title if score.metadata else None) or name
    return Score(parts, quarters, bar, lengths.get(bar, "4/4"), tonic, minor, title)


def _key(signature: key.KeySignature | None) -> tuple[int, bool]:
    """Tonic (0 is C) and whether its third is minor; a signature without a mode is taken for major."""
    if signature is None:
        return 0, False
    named = signature if isinstance(signature, key.Key) else signature.asKey("major")
    third = int(named.pitchFromDegree(3).pitchClass - named.tonic.pitchClass) % SEMITONES
    return int(named.tonic.pitchClass), third == 3


def _notes(measure: stream.Measure, shift: float) -> list[_Tied]:
    """Notes of a bar that starts at `shift` quarter notes."""
    found = []
    for sound in measure.recurse().notes:
        if sound.duration.isGrace or sound.quarterLength == 0:
            continue
        single = sound.notes if isinstance(sound, chord.Chord) else (sound,)
        onset = shift + _number(sound.getOffsetInHierarchy(measure))
        for one in single:
            if isinstance(one, note.Note):
                tie = one.tie.type if one.tie else ""
                found.append(_Tied(onset, _number(sound.quarterLength), int(one.pitch.midi), tie))
    return found


def _number(quarters: float | Fraction) -> float:
    return float(quarters)


def _part(part: stream.Part) -> list[_Tied]:
    measures = part.getElementsByClass(stream.Measure)
    return [one for measure in measures for one in _notes(measure, _number(measure.offset))]


def _tune(part: stream.Part, bar: float) -> list[_Tied]:
    """As `_part`, with every bar on the grid: the upbeat is dropped, and the halves of a split bar are put together."""
    found: list[_Tied] = []
    start, filled = -bar, bar
    for index, measure in enumerate(part.getElementsByClass(stream.Measure)):
        length = min(_number(measure.highestTime), bar)
        if index == 0 and length < bar:
            continue
        if filled + length > bar:
            start, filled = start + bar, 0.0
        found += [one for one in _notes(measure, start + filled) if one.onset < start + bar]
        filled += length
    return found


def _join_ties(notes: list[_Tied]) -> tuple[ScoreNote, ...]:
    joined: list[list[float]] = []
    sounding: dict[int, list[float]] = {}
    for one in sorted(notes):
        held = sounding.get(one.pitch)
        if held and one.tie in ("stop", "continue") and abs(held[0] + held[1] - one.onset) < 0.02:
            held[1] += one.duration
        else:
            held = [one.onset, one.duration, one.pitch]
            joined.append(held)
        sounding[one.pitch] = held
    return tuple((round(onset, 4), round(duration, 4), int(pitch)) for onset, duration, pitch in joined)
