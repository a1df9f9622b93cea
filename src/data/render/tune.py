"""A tune in bars of a dance or song, and chords under it."""

from dataclasses import dataclass
from typing import NamedTuple

from src.data.render.corpus import Score

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
FOREIGN, FIRST_BEAT, CHANGE, HALF_CLOSE = -0.3, 2.0, 0.2, 0.5


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
            score += CHANGE if chosen and chosen[-1] != chord else 0.0
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
