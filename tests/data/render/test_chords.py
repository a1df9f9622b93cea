from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from renderings import Rendering, manifest_of, samples_of

from src.data.render import chords, description, plan
from src.data.render.description import PlannedClip, generator
from src.data.render.sampler import Note

RATE = 44100
CLASSES = {
    "guitar_3_4": ("guitar", "3/4", 3),
    "guitar_4_4": ("guitar", "4/4", 4),
    "piano_3_4": ("piano", "3/4", 3),
    "piano_4_4": ("piano", "4/4", 4),
}


def of(label: str, size: int | None = None) -> list[PlannedClip]:
    return [clip for clip in plan("timing_timbre", size, seed=0) if clip.label == label]


def notes_of(clip: PlannedClip, seed: int = 0) -> list[Note]:
    one = description.load("timing_timbre").classes[clip.label]
    (part,) = chords.arrange(clip, one, generator(seed, clip.name), Path()).parts
    assert part.program == clip.recipe["program"]
    return list(part.notes)


def beats_of(clip: PlannedClip) -> list[list[Note]]:
    notes, size = notes_of(clip), len(clip.recipe["voicing"])
    return [notes[first : first + size] for first in range(0, len(notes), size)]


def test_every_variant_exists_once_in_every_class() -> None:
    clips = {label: of(label) for label in CLASSES}
    assert [len(found) for found in clips.values()] == [300] * 4
    for four in zip(*clips.values(), strict=True):
        assert len({(clip.name, clip.group, clip.seconds) for clip in four}) == 1
        recipes = [{k: v for k, v in clip.recipe.items() if k not in ("program", "beats")} for clip in four]
        assert all(recipe == recipes[0] for recipe in recipes)
    names = [clip.group for clip in clips["guitar_3_4"]]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("label", CLASSES)
def test_classes_differ_in_instrument_and_metre(label: str) -> None:
    instrument, metre, beats = CLASSES[label]
    for clip in of(label, 40):
        assert clip.columns == {"instrument": instrument, "metre": metre}
        assert clip.recipe["beats"] == beats
        # General MIDI: acoustic guitars are 24 and 25, acoustic pianos 0 and 1.
        assert clip.recipe["program"] in ((24, 25) if instrument == "guitar" else (0, 1))


def test_settings_but_instrument_and_metre_are_those_of_all_classes() -> None:
    classes = description.load("timing_timbre").classes.values()
    own = {"instrument", "beats", "programs"}
    common = [{k: v for k, v in one.settings.items() if k not in own} for one in classes]
    assert all(settings == common[0] for settings in common)
    assert len({(one.seconds, one.rms, one.room) for one in classes}) == 1


def test_variants_fill_their_ranges_evenly_and_independently() -> None:
    places = np.array([list(chords.variant(number).values()) for number in range(1, 61)])
    assert places.shape == (60, len(chords.ASPECTS))
    for aspect in places.T:
        # A quarter of 60 is 15; drawn at random it would scatter by 3.4.
        assert np.abs(np.histogram(aspect, 4, (0, 1))[0] - 15).max() <= 4
    # The correlation of 60 independent pairs scatters by 0.13.
    assert np.abs(np.corrcoef(places.T) - np.eye(len(places.T))).max() < 0.3


def test_neither_metre_is_told_by_how_far_accents_are_apart() -> None:
    threes, fours = ([60 / clip.recipe["tempo"] * clip.recipe["beats"] for clip in of(f"piano_{n}_4")] for n in (3, 4))
    # Tempi span an octave, metres differ by a third.
    assert np.mean(np.array(fours) < max(threes)) > 0.3
    assert np.mean(np.array(threes) > min(fours)) > 0.3


def test_the_chord_is_c_major_in_all_inversions() -> None:
    voicings = [clip.recipe["voicing"] for clip in of("piano_3_4", 60)]
    for voicing in voicings:
        assert {pitch % 12 for pitch in voicing} >= {0, 4}
        assert {pitch % 12 for pitch in voicing} <= {0, 4, 7}
        assert voicing == sorted(set(voicing))
    assert {voicing[0] % 12 for voicing in voicings} == {0, 4, 7}


@pytest.mark.parametrize("label", CLASSES)
def test_beats_come_in_tempo_and_the_first_of_each_bar_is_stressed(label: str) -> None:
    metre = CLASSES[label][2]
    for clip in of(label, 10):
        beats, length = beats_of(clip), 60 / clip.recipe["tempo"]
        assert len(beats) == int(np.ceil((clip.seconds - chords.ONSET) / length))
        for number, chord in enumerate(beats):
            assert [note.pitch for note in chord] == clip.recipe["voicing"]
            assert len({(note.onset, note.duration, note.velocity) for note in chord}) == 1
            # Five standard deviations of the player's hand.
            assert chord[0].onset == pytest.approx(chords.ONSET + number * length, abs=5 * chords.HUMAN_TIMING)
            assert chord[0].duration < length
        stressed = [chord[0].velocity for chord in beats[::metre]]
        others = [chord[0].velocity for number, chord in enumerate(beats) if number % metre]
        assert min(stressed) > max(others)
        assert max(stressed) <= 1.0


def test_the_least_accent_stands_out_from_the_hand() -> None:
    settings = description.load("timing_timbre").classes["piano_3_4"].settings
    assert (settings["accent"][0] - 1) * settings["velocity"][0] >= 4 * chords.HUMAN_TOUCH
    # The strongest chord, five standard deviations above what is meant, still is a velocity.
    assert settings["accent"][1] * settings["velocity"][1] + 5 * chords.HUMAN_TOUCH <= 1.02


def test_two_players_do_not_play_alike() -> None:
    clip = of("guitar_3_4", 1)[0]
    assert notes_of(clip, seed=0) == notes_of(clip, seed=0)
    assert notes_of(clip, seed=0) != notes_of(replace(clip, name="another"), seed=0)
    assert notes_of(clip, seed=0) != notes_of(clip, seed=1)


def test_clips_sound_in_their_metre(rendering: Rendering) -> None:
    folder = rendering("timing_timbre", "timing_timbre", 1)
    clips = manifest_of(folder)["clips"]
    assert [(clip["label"], clip["instrument"], clip["metre"]) for clip in clips] == [
        (label, instrument, metre) for label, (instrument, metre, _) in CLASSES.items()
    ]
    for clip, planned in zip(clips, plan("timing_timbre", 1, seed=0), strict=True):
        samples, sample_rate = samples_of(folder / clip["file"])
        assert (sample_rate, len(samples)) == (RATE, round(planned.seconds * RATE))
        length = 60 / planned.recipe["tempo"]
        # The middle of every beat, so that neither the player's timing nor the end of the chord matters.
        starts = chords.ONSET + (np.arange(int(planned.seconds / length - 0.1)) + 0.1) * length
        decibels = np.array([level(samples, start, 0.4 * length) for start in starts])
        rest = np.delete(decibels, np.s_[:: planned.recipe["beats"]])
        # A velocity counts squared; the hand moves single chords by 0.7 dB, their means by less.
        accent = 40 * np.log10(planned.recipe["accent"])
        assert decibels[:: planned.recipe["beats"]].mean() - rest.mean() == pytest.approx(accent, abs=1)


def level(samples: np.ndarray, start: float, length: float) -> float:
    part = samples[round(start * RATE) : round((start + length) * RATE)]
    return 10 * float(np.log10(np.mean(part**2)))
