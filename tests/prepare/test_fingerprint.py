import numpy as np
import pytest
from audit_sounds import RATE, note, tune

from src.data.waveform import Waveform
from src.prepare.audit.fingerprint import Fingerprint, fingerprint, resampled


def of(sound: np.ndarray, rate: int = RATE) -> Fingerprint:
    return fingerprint(Waveform(np.atleast_2d(sound).astype(np.float32), rate))


def test_level_does_not_show():
    loud, quiet = of(tune(0)), of(tune(0) / 1024)
    # A power of two scales float32 without rounding.
    np.testing.assert_array_equal(loud.spectrum, quiet.spectrum)
    np.testing.assert_array_equal(loud.course, quiet.course)
    assert loud.quiet == quiet.quiet


def test_a_tone_stands_in_its_band():
    # Bands a twelfth of an octave wide from 60 Hz on: 480 Hz, three octaves up, opens band 36.
    seconds = np.arange(16000) / 8000
    for hz, band in ((485, 36), (970, 48), (100, 8)):
        spectrum = of(np.sin(2 * np.pi * hz * seconds), 8000).spectrum
        assert abs(int(spectrum.argmax()) - band) <= 1  # a bin is 7.8 Hz wide, a band at 100 Hz 5.9 Hz
        assert spectrum.max() == 0
        assert spectrum.min() == -25


def test_course_follows_the_loudness():
    # -20 dB in the second half, 1 s in all: 15.6 frames a second.
    loudness = np.where(np.arange(8000) < 4000, 1, 0.1)
    course = of(loudness * np.sin(2 * np.pi * 500 * np.arange(8000) / 8000), 8000).course
    assert course.shape == (4, 16)
    # 500 Hz lies in the second range; frames away from the edge and from both ends see one level only.
    assert course[1, 1:6].mean() - course[1, 10:15].mean() == pytest.approx(20, abs=0.1)


def test_sample_rate_shows_little():
    sound = tune(1)
    low = of(resampled(Waveform(sound[None], RATE), 8000), 8000)
    # Only the slope of the low-pass below 4 kHz, above the highest band, differs: a tenth of a dB.
    np.testing.assert_allclose(of(sound).spectrum, low.spectrum, atol=0.1)


def test_row_and_back():
    for sound in (tune(2), note(440, 0, 0.05), np.zeros(100), tune(0, 40.0)):
        one = of(sound)
        row = one.row()
        assert row.shape == (2 + 70 + 4 * 512,)
        back = Fingerprint.from_row(row)
        assert back.quiet == pytest.approx(one.quiet, abs=1e-7)  # float32
        np.testing.assert_array_equal(back.spectrum, one.spectrum)
        np.testing.assert_array_equal(back.course, one.course)


def test_only_silence_is_quiet_throughout():
    assert of(np.zeros(5000)).quiet == 1
    assert of(np.eye(1, 5000, 2500)).quiet < 1
    assert of(np.full(1, 0.5)).quiet < 1


@pytest.mark.parametrize(("rate", "to"), [(44100, 8000), (44100, 4000), (8000, 8000), (4000, 8000), (44056, 8000)])
def test_resampling_keeps_a_tone(rate, to):
    hz, count = 500.0, rate
    tone = np.sin(2 * np.pi * hz * np.arange(count) / rate).astype(np.float32)
    got = resampled(Waveform(tone[None], rate), to)
    wanted = np.sin(2 * np.pi * hz * np.arange(to) / to)
    assert len(got) == to
    # 500 Hz passes unchanged but for the rounding of float32, except where it ends and zeros are added (44056 Hz).
    np.testing.assert_allclose(got[200:-200], wanted[200:-200], atol=2e-6 if rate != 44056 else 1e-3)


def test_resampling_leaves_no_aliases():
    for hz in (3900, 4100, 5000, 12000):
        tone = np.sin(2 * np.pi * hz * np.arange(44100) / 44100).astype(np.float32)
        # What is left is the rounding of float32.
        assert np.abs(resampled(Waveform(tone[None], 44100), 8000)).max() < 1e-5


@pytest.mark.parametrize("samples", [1, 7, 440, 44101])
def test_resampling_any_length(samples):
    got = resampled(Waveform(np.full((2, samples), 0.25, np.float32), 44100), 8000)
    assert got.dtype == np.float32
    assert len(got) == -(-samples * 8000 // 44100)
