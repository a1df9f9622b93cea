from src.data.render import band
from src.data.render.band import Bar, Chord, Stroke, TuneNote

C_MAJOR = Bar(
    Chord(0, minor=False), (TuneNote(0.0, 2.0, 60), TuneNote(2.0, 2.0, 64)), 4, 0.5, opens=False, closes=False
)


def test_a_pattern_divides_the_bar() -> None:
    struck = list(band.chord_strokes({"voicing": "triad", "centre": 60}, "X--.x.o-", C_MAJOR))
    assert sorted({(stroke.onset, stroke.duration, stroke.velocity) for stroke in struck}) == [
        (0.0, 1.5, 1.0),
        (2.0, 0.5, 0.8),
        (3.0, 1.0, 0.55),
    ]


def test_chords_lie_around_their_centre() -> None:
    triad = [stroke.pitch for stroke in band.chord_strokes({"voicing": "triad", "centre": 60}, "x", C_MAJOR)]
    assert triad == [55, 60, 64]
    minor = C_MAJOR._replace(chord=Chord(9, minor=True))
    inverted = [stroke.pitch for stroke in band.chord_strokes({"voicing": "triad", "centre": 60}, "x", minor)]
    assert inverted == [57, 60, 64]
    power = [stroke.pitch for stroke in band.chord_strokes({"voicing": "power", "centre": 40}, "x", C_MAJOR)]
    assert power == [36, 43, 48]


def test_a_line_walks_through_the_chord() -> None:
    walked = list(band.line_strokes({"centre": 36}, "1358", C_MAJOR))
    assert [stroke.pitch for stroke in walked] == [36, 40, 43, 48]
    assert [stroke.onset for stroke in walked] == [0.0, 1.0, 2.0, 3.0]
    minor = C_MAJOR._replace(chord=Chord(0, minor=True))
    assert next(iter(band.line_strokes({"centre": 36}, "3...", minor))).pitch == 39


def test_drums_fill_before_a_new_section_and_crash_into_it() -> None:
    part = {"fill": {45: "x---"}, "crash": True}
    pattern = {36: "x.x.", 38: ".x.x"}
    assert [stroke.pitch for stroke in band.drum_strokes(part, pattern, C_MAJOR)] == [36, 36, 38, 38]
    assert [stroke.pitch for stroke in band.drum_strokes(part, pattern, C_MAJOR._replace(closes=True))] == [45]
    assert next(band.drum_strokes(part, pattern, C_MAJOR._replace(opens=True))).pitch == band.CRASH


def test_the_tune_is_moved_and_articulated() -> None:
    played = list(band.tune_strokes({"legato": 0.5}, 12, C_MAJOR))
    assert [(stroke.onset, stroke.duration, stroke.pitch) for stroke in played] == [(0.0, 1.0, 72), (2.0, 1.0, 76)]
    assert isinstance(played[0], Stroke)


def test_the_nearest_pitch_of_a_class() -> None:
    assert [band.nearest(pitch_class, 60) for pitch_class in (0, 5, 6, 7, 11)] == [60, 65, 54, 55, 59]
