"""The sounds made up for calibration: always the same, and varied as real ones are."""

from dataclasses import replace
from itertools import islice

import numpy as np
import pytest
from toy import recipe

from src import calibration
from src.calibration import RATE, note, sound, sounds
from src.preprocess import Preprocess
from src.spectrogram.waveform import WaveformPicture


@pytest.fixture(scope="module")
def some():
    return list(islice(sounds(), 24))


def test_they_are_the_same_whenever_they_are_asked_for(some, monkeypatch):
    for one, other in zip(some, sounds(), strict=False):
        assert (one.sample_rate, one.samples.tobytes()) == (other.sample_rate, other.samples.tobytes())
    assert len({one.samples.tobytes() for one in some}) == len(some)
    monkeypatch.setattr(calibration, "VERSION", calibration.VERSION + 1)
    assert next(sounds()).samples.tobytes() != some[0].samples.tobytes()
    monkeypatch.setattr(calibration, "SOUNDS", 3)
    assert len(list(sounds())) == 3


def test_they_are_audio_at_levels_of_recordings(some):
    peaks = np.array([np.abs(one.samples).max() for one in some])
    assert all(one.samples.dtype == np.float32 and one.samples.shape[0] == 1 for one in some)
    assert peaks.min() >= 10**-1.5 * (1 - 1e-6)  # -30 dBFS, rounded to float32
    assert peaks.max() <= 1
    assert peaks.max() / peaks.min() > 10  # 20 dB apart at least, of 24 drawn over 30 dB
    lengths = [one.duration for one in some]
    assert 0.3 - 1 / RATE <= min(lengths) < 1
    assert 3 < max(lengths) < 8.1  # 0.3 * 10**1.43 s
    loudness = [np.abs(one.samples).mean() / np.abs(one.samples).max() for one in some]
    assert min(loudness) < 0.05  # strokes and decays
    assert max(loudness) > 0.1  # sustained sounds


@pytest.mark.parametrize("seed", range(4))
def test_a_note_is_a_pitch_and_its_multiples(seed):
    length = 2 * RATE
    played = note(np.random.default_rng(seed), length)
    spectrum = np.abs(np.fft.rfft(played * np.hanning(length))) ** 2
    hertz = np.fft.rfftfreq(length, 1 / RATE)
    pitch = 55 * 2 ** np.random.default_rng(seed).uniform(0, 5.5)
    assert np.isfinite(played).all()
    # 3 % either side for vibrato and for the width that attack and decay give each partial, 30 Hz at least
    near = np.abs(hertz - np.rint(hertz / pitch) * pitch) < np.maximum(30, 0.03 * hertz)
    assert spectrum[near & (hertz > pitch / 2)].sum() > 0.95 * spectrum.sum()
    assert spectrum[hertz > 18_500].sum() < 1e-3 * spectrum.sum()


def test_a_calibration_is_known_by_how_its_pictures_are_drawn(monkeypatch):
    drawing = recipe().drawing
    monkeypatch.setattr(calibration, "SOUNDS", 2)
    found = calibration.calibration(drawing)
    assert found == calibration.calibration(replace(drawing))
    assert hash(found) == hash(calibration.calibration(replace(drawing)))
    assert found.name == "2 sounds, version 1"
    pictures = list(found.pictures())
    assert [each.tobytes() for each in pictures] == [drawing.picture(each).tobytes() for each in sounds()]
    for other in (
        replace(drawing, preprocess=Preprocess("louder", [0.0])),
        replace(drawing, spectrogram=WaveformPicture(height=17, pixels_per_second=100, reference="full_scale")),
    ):
        assert calibration.calibration(other) != found
        assert [each.tobytes() for each in calibration.calibration(other).pictures()] != [
            each.tobytes() for each in pictures
        ]


def test_nothing_is_drawn_before_it_is_asked_for(monkeypatch):
    monkeypatch.setattr(calibration, "sound", lambda rng: pytest.fail("drawn"))
    calibration.calibration(recipe().drawing)


def test_the_shortest_and_the_quietest_sound_is_still_one():
    class Least(np.random.Generator):
        """Draws the low end of every range."""

        def uniform(self, low=0.0, high=1.0, size=None):
            return low

        def random(self, size=None):
            return 0.0

        def integers(self, low, high=None, size=None):
            return low if high is not None else 0

    found = sound(Least(np.random.PCG64(0)))
    assert np.isfinite(found.samples).all()
    assert np.abs(found.samples).max() == pytest.approx(10**-1.5, rel=1e-6)  # float32
