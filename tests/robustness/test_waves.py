"""Disturbed sound: the strength that is said, by physics, and the same every time."""

import random

import numpy as np
import pytest

from src.data.waveform import Waveform
from src.robustness.perturb import KINDS, Disturbance

RATE = 16000


def tone(hz, seconds=1.0, rate=RATE, channels=1, amplitude=0.5):
    wave = amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)
    return Waveform(np.tile(wave.astype(np.float32), (channels, 1)), rate)


def disturbed(waveform, kind, value, seed=0):
    return Disturbance(kind, float(value), seed)(waveform)


def rms(samples):
    return float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))


def decibels(some, other):
    return 20 * np.log10(rms(some) / rms(other))


def peak_hz(waveform):
    spectrum = np.abs(np.fft.rfft(waveform.samples[0] * np.hanning(waveform.samples.shape[1])))
    return spectrum.argmax() / waveform.duration


@pytest.mark.parametrize("value", [-40, -20.5, -1])
def test_level_is_in_decibels(value):
    sound = tone(440, channels=2)
    # a float32 product is right to 6e-8
    assert decibels(disturbed(sound, "level", value).samples, sound.samples) == pytest.approx(value, abs=1e-5)


@pytest.mark.parametrize("value", [-10, 0, 20])
def test_noise_is_so_far_below_the_clip_and_white(value):
    sound = tone(440, seconds=2, channels=2)
    noise = disturbed(sound, "noise", value).samples - sound.samples
    # The RMS of 64000 independent samples strays by 1 / sqrt(128000), 0.03 dB; four times that.
    assert decibels(sound.samples, noise) == pytest.approx(value, abs=0.1)
    assert abs(np.corrcoef(noise)[0, 1]) < 0.025
    quarters = np.abs(np.fft.rfft(noise[0]))[:16000].reshape(4, -1)
    levels = [rms(quarter) for quarter in quarters]
    assert max(levels) / min(levels) < 1.08


def test_noise_is_the_clips_own_at_every_strength():
    one, other = tone(440), tone(441)
    weak, strong = (disturbed(one, "noise", value).samples - one.samples for value in (20, 0))
    # what float32 leaves of a difference of numbers near 1
    np.testing.assert_allclose(strong, 10 * weak, atol=2e-5)
    again = disturbed(other, "noise", 0).samples - other.samples
    assert abs(np.corrcoef(strong[0], again[0])[0, 1]) < 0.05
    seeded = disturbed(one, "noise", 0, seed=1).samples - one.samples
    assert abs(np.corrcoef(strong[0], seeded[0])[0, 1]) < 0.05


def test_low_pass_halves_the_power_at_its_limit_and_falls_by_24_decibels_an_octave():
    hertz = np.array([100, 1000, 2000, 4000])
    found = [
        decibels(disturbed(tone(hz), "lowpass", 1000).samples[:, 4000:], tone(hz).samples[:, 4000:]) for hz in hertz
    ]
    # Butterworth of fourth order, its frequencies bent as the bilinear transform does: 3.0, 24.6 and 56.1 dB.
    bent = np.tan(np.pi * hertz / RATE) / np.tan(np.pi * 1000 / RATE)
    np.testing.assert_allclose(found, -10 * np.log10(1 + bent**8), atol=0.05)


def test_a_limit_beyond_nyquist_changes_nothing():
    sound = tone(440)
    assert disturbed(sound, "lowpass", 8000) is sound


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (12345, 1), (44100, 2), (44100, 3), (96000, 1)])
def test_mp3_keeps_length_time_and_channels(rate, channels):
    sound = tone(440, rate=rate, channels=channels)
    coded = disturbed(sound, "mp3", 64)
    assert (coded.samples.shape, coded.sample_rate) == (sound.samples.shape, rate)
    # LAME makes things half a decibel quieter; a shift of a tenth of a period would leave 0.81.
    middle = slice(rate // 4, 3 * rate // 4)
    assert np.corrcoef(coded.samples[0][middle], sound.samples[0][middle])[0, 1] > 0.99
    assert decibels(coded.samples[:, middle], sound.samples[:, middle]) == pytest.approx(-0.45, abs=0.15)


def test_fewer_bits_are_further_from_the_sound():
    sound = Waveform((0.1 * np.random.default_rng(0).standard_normal((1, RATE))).astype(np.float32), RATE)
    close = [np.corrcoef(disturbed(sound, "mp3", kbit).samples[0], sound.samples[0])[0, 1] for kbit in (8, 32, 128)]
    assert close[0] < close[1] < close[2]


@pytest.mark.parametrize("value", [0.5, 0.7, 0.9, 1.25, 2])
def test_a_faster_tape_is_shorter_and_higher(value):
    sound = tone(440, channels=2)
    faster = disturbed(sound, "speed", value)
    assert faster.sample_rate == RATE
    assert faster.samples.shape[1] == pytest.approx(RATE / value, abs=1)
    assert peak_hz(faster) == pytest.approx(440 * value, abs=1 / faster.duration)
    assert decibels(faster.samples, sound.samples) == pytest.approx(0, abs=0.1)


def test_a_share_is_kept_from_the_beginning():
    sound = tone(440)
    np.testing.assert_array_equal(disturbed(sound, "length", 0.25).samples, sound.samples[:, : RATE // 4])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("samples", [np.zeros((2, 5000)), np.ones((1, 1)), np.full((1, 50), 3.0)])
def test_silence_a_single_sample_and_loud_sound_are_fine(kind, samples):
    sound = Waveform(samples.astype(np.float32), RATE)
    value = {"level": -20, "noise": 0, "mp3": 16, "lowpass": 500, "speed": 1.5, "length": 0.01}[kind]
    found = disturbed(sound, kind, value).samples
    assert (found.shape[0], found.dtype) == (len(samples), np.float32)
    assert found.shape[1] >= 1
    assert np.isfinite(found).all()
    if not samples.any():
        assert np.abs(found).max() < 1e-4


def ambient():
    return random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002  # the global generator is what must stay untouched


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_every_time_and_nothing_ambient_is_touched(kind):
    sound = tone(440, channels=2)
    before = ambient()
    value = {"level": -20, "noise": 0, "mp3": 16, "lowpass": 500, "speed": 1.5, "length": 0.3}[kind]
    kept = sound.samples.copy()
    first, again = (disturbed(sound, kind, value).samples for _ in range(2))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(sound.samples, kept)
    assert ambient() == before


def test_each_strength_has_its_own_key():
    keys = [Disturbance(kind, value, 0).key() for kind in KINDS for value in (0.5, 0.25)]
    assert len({str(key) for key in keys}) == 2 * len(KINDS)
    assert Disturbance("noise", 1.0, 0).key() != Disturbance("noise", 1.0, 1).key()
    assert Disturbance("level", 1.0, 0).key() == Disturbance("level", 1.0, 1).key()
