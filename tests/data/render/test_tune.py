import pytest

from src.data.render.band import Chord, TuneNote, harmonised, tune_of
from src.data.render.corpus import Score

C, D, E, F, G, A, B = 60, 62, 64, 65, 67, 69, 71


def score(notes: list[tuple[float, float, int]], metre: str, *, tonic: int = 0, minor: bool = False) -> Score:
    return Score((tuple(notes),), notes[-1][0] + notes[-1][1], 4.0, metre, tonic, minor, "tune")


def test_a_bar_of_two_four_fills_four_beats() -> None:
    tune = tune_of(score([(0.0, 0.5, C), (0.5, 0.5, E), (1.0, 1.0, G), (2.0, 2.0, C)], metre="2/4"), 4, minor=False)
    assert tune.bars == (
        (TuneNote(0.0, 1.0, C), TuneNote(1.0, 1.0, E), TuneNote(2.0, 2.0, G)),
        (TuneNote(0.0, 4.0, C),),
    )


def test_a_bar_of_six_eight_fills_two_bars_of_three() -> None:
    notes = [(onset / 2, 0.5, C) for onset in range(6)]
    tune = tune_of(score(notes, metre="6/8"), 3, minor=False)
    assert tune.bars == (tuple(TuneNote(float(beat), 1.0, C) for beat in range(3)),) * 2


def test_common_time_stays() -> None:
    tune = tune_of(score([(0.0, 4.0, C), (4.0, 4.0, C)], metre="4/4"), 4, minor=False)
    assert tune.bars == ((TuneNote(0.0, 4.0, C),), (TuneNote(0.0, 4.0, C),))


def test_a_major_tune_can_be_turned_into_minor() -> None:
    notes = [(0.0, 1.0, E), (1.0, 1.0, A), (2.0, 1.0, B), (3.0, 1.0, G)]
    tune = tune_of(score(notes, metre="4/4"), 4, minor=True)
    # The third, sixth and seventh of C are flattened, the fifth is not.
    assert [note.pitch for note in tune.bars[0]] == [E - 1, A - 1, B - 1, G]
    assert tune.chords == (Chord(0, minor=True),)


def test_a_minor_tune_stays_as_it_is() -> None:
    tune = tune_of(score([(0.0, 4.0, A)], metre="4/4", tonic=9, minor=True), 4, minor=True)
    assert tune.bars[0][0].pitch == A


@pytest.mark.parametrize(
    ("pitches", "chord"),
    [
        ((C, E, G, C), Chord(0, minor=False)),
        ((F, A, C, A), Chord(5, minor=False)),
        ((G, B, D, B), Chord(7, minor=False)),
        ((A, C, E, A), Chord(9, minor=True)),
    ],
)
def test_a_broken_triad_gets_its_chord(pitches: tuple[int, ...], chord: Chord) -> None:
    bar = tuple(TuneNote(float(beat), 1.0, pitch) for beat, pitch in enumerate(pitches))
    close = (TuneNote(0.0, 4.0, C),)
    # Two bars follow: the last is the tonic's, and the one before it leans to the dominant.
    assert harmonised((bar, close, close), 0, minor=False)[0] == chord


def test_tunes_end_on_the_tonic_after_the_dominant() -> None:
    undecided = (TuneNote(0.0, 4.0, G),)  # fits the tonic and the dominant
    found = harmonised((undecided,) * 4, 0, minor=False)
    assert found[-2:] == (Chord(7, minor=False), Chord(0, minor=False))
    assert harmonised((undecided,) * 4, 9, minor=True)[-1] == Chord(9, minor=True)
