from collections import Counter
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from renderings import Rendering, manifest_of, samples_of

from src.data.render import description, notes, plan, sound_font
from src.data.render.description import PlannedClip, generator
from src.data.render.sampler import Sampler

VELOCITIES = [25, 50, 75, 100, 127]
# Table 1 of the paper.
TABLE_1 = {
    "nsynth_family": [880, 880, 880],
    "nsynth_instrument": [880, 880, 880, 760, 730, 690, 670, 650],
    "nsynth_organ": [440, 440],
}
RATE = 16000  # of NSynth
PLAYED_RATE = 48000  # three times as much, so that nothing is folded
# Largest edition in which all classes have all the pitches: their common ones, 5 velocities, their instruments.
LARGEST_EQUAL = {"nsynth_family": 880, "nsynth_instrument": 55 * 5 * 2, "nsynth_organ": 440}
datasets = pytest.mark.parametrize("dataset", TABLE_1)


@pytest.fixture(scope="module")
def sampler() -> Sampler:
    return Sampler(sound_font.bundled(), PLAYED_RATE)


def by_class(clips: list[PlannedClip]) -> dict[str, list[PlannedClip]]:
    return {label: [clip for clip in clips if clip.label == label] for label in sorted({clip.label for clip in clips})}


def played(clip: PlannedClip) -> tuple[int, int]:
    return clip.recipe["pitch"], clip.recipe["velocity"]


def sounding(sampler: Sampler, dataset: str, label: str, program: int, pitch: int, velocity: int) -> np.ndarray:
    one = description.load(dataset).classes[label]
    clip = PlannedClip(label, "", "", "", 4.0, {"program": program, "pitch": pitch, "velocity": velocity})
    return sampler.mix(notes.arrange(clip, one, generator(0), Path()).parts, clip.seconds)


@datasets
def test_the_full_edition_is_every_pitch_at_every_velocity_by_every_instrument(dataset: str) -> None:
    clips = by_class(plan(dataset, None, seed=0))
    assert sorted((len(found) for found in clips.values()), reverse=True) == TABLE_1[dataset]
    for label, found in clips.items():
        settings = description.load(dataset).classes[label].settings
        low, high = settings["pitches"]
        everything = product(settings["programs"].values(), range(low, high + 1), VELOCITIES)
        assert Counter((clip.recipe["program"], *played(clip)) for clip in found) == Counter(everything)


@datasets
def test_common_pitches_are_those_of_every_class(dataset: str) -> None:
    settings = [one.settings for one in description.load(dataset).classes.values()]
    low, high = (max(one["pitches"][0] for one in settings), min(one["pitches"][1] for one in settings))
    assert [one["common_pitches"] for one in settings] == [[low, high]] * len(settings)


@datasets
@pytest.mark.parametrize("size", [1, 7, 60, 301, "largest"])
def test_pitch_and_velocity_do_not_tell_the_class(dataset: str, size: int | str) -> None:
    clips = by_class(plan(dataset, LARGEST_EQUAL[dataset] if isinstance(size, str) else size, seed=0))
    assert len({tuple(map(played, found)) for found in clips.values()}) == 1


@datasets
def test_a_small_edition_spans_pitches_velocities_and_instruments(dataset: str) -> None:
    one, *_ = by_class(plan(dataset, 20, seed=0)).values()
    low, high = description.load(dataset).classes[one[0].label].settings["common_pitches"]
    pitches = sorted(clip.recipe["pitch"] for clip in one)
    # 20 evenly spaced pitches would be 3 or 5 apart; the golden section leaves no gap of twice that.
    gaps = np.diff([low - 1, *pitches, high + 1])
    assert gaps.min() >= 1
    assert gaps.max() < 2 * (high - low + 2) / 20


@datasets
def test_instruments_and_velocities_are_spread_over_the_pitches(dataset: str) -> None:
    one, *_ = by_class(plan(dataset, 60, seed=0)).values()
    middle = np.mean([clip.recipe["pitch"] for clip in one])
    for aspect, ways in (("program", len({clip.recipe["program"] for clip in one})), ("velocity", 5)):
        found: dict[int, list[int]] = {}
        for clip in one:
            found.setdefault(clip.recipe[aspect], []).append(clip.recipe["pitch"])
        assert len(found) == ways
        for pitches in found.values():
            # Numbers drawn at random would scatter by 3, means of 12 random pitches of 88 by 7 semitones.
            assert len(pitches) == pytest.approx(60 / ways, abs=2)
            assert np.mean(pitches) == pytest.approx(middle, abs=5)


def test_a_small_edition_is_the_beginning_of_a_larger_one() -> None:
    small, large = (by_class(plan("nsynth_instrument", size, seed=0)) for size in (60, 200))
    assert all(large[label][:60] == clips for label, clips in small.items())


@datasets
def test_a_group_is_one_note_of_one_instrument(dataset: str) -> None:
    members: dict[str, list[PlannedClip]] = {}
    for clip in plan(dataset, None, seed=0):
        members.setdefault(clip.group, []).append(clip)
    for clips in members.values():
        assert sorted(clip.recipe["velocity"] for clip in clips) == VELOCITIES
        assert len({(clip.label, clip.recipe["program"], clip.recipe["pitch"]) for clip in clips}) == 1


@pytest.mark.parametrize(
    ("dataset", "label"), [(dataset, label) for dataset in TABLE_1 for label in description.load(dataset).classes]
)
def test_every_instrument_sounds_over_its_range_and_never_clips(dataset: str, label: str, sampler: Sampler) -> None:
    settings = description.load(dataset).classes[label].settings
    low, high = settings["pitches"]
    for program, pitch in product(settings["programs"].values(), (*range(low, high, 22), high)):
        soft, loud = (sounding(sampler, dataset, label, program, pitch, velocity) for velocity in (25, 127))
        # 30 steps of 16 bits: what is softer drowns in their rounding.
        assert np.abs(soft).max() > 30 / 32768, (program, pitch)
        assert np.abs(loud).max() < 1.0, (program, pitch)
        # 28 dB by the square of the velocities' ratio.
        assert np.abs(loud).max() > 10 * np.abs(soft).max(), (program, pitch)


def test_a_note_is_held_for_three_seconds(sampler: Sampler) -> None:
    organ = sounding(sampler, "nsynth_organ", "electronic_organ_1", 16, 69, 100)
    tenths = np.sqrt((organ.reshape(40, -1) ** 2).mean(axis=1))
    assert (tenths[1:30] > 0.5 * tenths.max()).all()
    # Released at 3.02 s; the longest release fades by 100 dB in 0.8 s.
    assert tenths[39] < 1e-4 * tenths.max()


def test_a_note_has_its_pitch(sampler: Sampler) -> None:
    flute = sounding(sampler, "nsynth_instrument", "flute", 73, 69, 100)[PLAYED_RATE : 3 * PLAYED_RATE]
    strongest = np.abs(np.fft.rfft(flute * np.hanning(len(flute)))).argmax() / 2
    # A quarter of a semitone: samples of small sound fonts are tuned by ear.
    assert strongest == pytest.approx(440, rel=0.015)


def test_clips_are_like_those_of_nsynth(rendering: Rendering) -> None:
    folder = rendering("nsynth_organ", "nsynth_organ", 5)
    peaks: dict[str, dict[int, float]] = {}
    for clip in manifest_of(folder)["clips"]:
        samples, sample_rate = samples_of(folder / clip["file"])
        assert (sample_rate, len(samples), clip["duration"]) == (RATE, 4 * RATE, 4.0)
        instrument, pitch, velocity = clip["instrument"], clip["pitch"], clip["velocity"]
        assert clip["file"] == f"{clip['label']}/{instrument}_{int(pitch):03d}_{int(velocity):03d}.flac"
        assert clip["source"].startswith(f"note {pitch} at velocity {velocity} by General MIDI program ")
        peaks.setdefault(clip["label"], {})[int(velocity)] = float(np.abs(samples).max())
    for found in peaks.values():
        # Between two velocities lie 4 dB or more, between two pitches of an organ less.
        assert sorted(found, key=found.__getitem__) == sorted(found)
        assert len(found) >= 3
