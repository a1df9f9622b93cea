import numpy as np
import pytest

from src.prepare.audit.copies import agreement, correlate

RNG = np.random.default_rng(0)
NOISE = RNG.standard_normal((1, 6000)).astype(np.float32)
OTHER = RNG.standard_normal((1, 6000)).astype(np.float32)


def late(signal: np.ndarray, samples: float) -> np.ndarray:
    """The signal begun later by any part of a sample, by its spectrum."""
    size = 2 * signal.shape[1]
    turn = np.exp(-2j * np.pi * samples * np.fft.rfftfreq(size))
    return np.fft.irfft(np.fft.rfft(signal, size) * turn, size)[:, : signal.shape[1]].astype(np.float32)


# Noise without its highest fifth, as signals come from resampling.
SMOOTH = np.fft.irfft(np.fft.rfft(NOISE) * (np.arange(3001) < 2400), 6000).astype(np.float32)


@pytest.mark.parametrize("gain", [1.0, 0.01, 30.0])
def test_level_lag_and_gain_of_an_excerpt(gain):
    match = correlate(NOISE, np.float32(gain) * NOISE[:, 1000:5000])
    # float32 transforms: about 1e-6 of the energy
    assert match.similarity == pytest.approx(1, abs=1e-5)
    assert match.lag == 1000
    assert match.gain == pytest.approx(gain, rel=1e-5)


def test_swapping_turns_lag_and_gain_round():
    long, short = NOISE, 0.5 * NOISE[:, 1000:3000]
    there, back = correlate(long, short), correlate(short, long)
    assert (there.lag, back.lag) == (1000, -1000)
    assert there.gain == pytest.approx(0.5, rel=1e-5)
    assert back.gain == pytest.approx(2, rel=1e-5)


def test_an_inverted_signal_is_as_good():
    assert correlate(NOISE, -NOISE).similarity == pytest.approx(1, abs=1e-5)
    assert agreement(NOISE, -NOISE, 0.0, 500) == pytest.approx(1, abs=1e-5)


def test_what_only_one_of_them_holds_does_not_matter():
    first = np.concatenate([NOISE[:, :4000], 10 * OTHER[:, :3000]], axis=1)
    second = np.concatenate([10 * OTHER[:, 3000:4000], NOISE[:, :4000]], axis=1)
    # 4000 of 5000 samples in common; without the louder thousand before, only 4000 / 104000 of the second's energy.
    assert correlate(first, second[:, 1000:]).similarity == pytest.approx(1, abs=1e-4)
    assert correlate(first, second).similarity < 0.5


def test_too_little_in_common_is_no_match():
    # 30 % of the shorter one: below the 40 % that are asked for. By chance 6000 samples reach sqrt(2 ln 12000 / 2400).
    match = correlate(NOISE, np.concatenate([NOISE[:, 4200:], OTHER[:, :4200]], axis=1))
    assert match.similarity < 0.15


def test_unrelated_noise_does_not_match():
    # Largest of 4 x 7200 correlations of at least 2400 samples each: below 5 standard deviations, 5 / sqrt(2400).
    assert correlate(NOISE, OTHER).similarity < 0.11


@pytest.mark.parametrize("fraction", [0.25, 0.5, 0.613])
def test_shifts_by_parts_of_a_sample(fraction):
    match = correlate(SMOOTH, late(SMOOTH, 40 + fraction))
    # Quarter steps: an eighth of a sample away, noise up to 0.8 of the highest frequency loses 2 % at most.
    assert match.similarity > 0.98
    assert match.lag == pytest.approx(-(40 + fraction), abs=0.126)


def test_silence_matches_nothing():
    silence = np.zeros((1, 500), np.float32)
    assert correlate(silence, silence).similarity == 0
    assert correlate(NOISE, silence).similarity == 0
    assert agreement(silence, silence, 0.0, 100) == 0


def test_channels_are_compared_together():
    pair = np.concatenate([NOISE, OTHER])
    assert correlate(pair, pair[:, 300:]).lag == 300
    # Only one channel of two agrees: half the energy.
    half = np.concatenate([NOISE, np.roll(NOISE, 1234, axis=1)])
    assert correlate(pair, half).similarity == pytest.approx(0.5, abs=0.05)


def test_agreement_is_lost_where_takes_drift_apart():
    # The loud half is the same, the quiet one (-14 dB) is not: 25/26 of the energy, 5/6 of the amplitude.
    loudness = np.where(np.arange(6000) < 3000, 1, 0.2).astype(np.float32)
    one = NOISE * loudness
    other = np.where(np.arange(6000) < 3000, NOISE, OTHER).astype(np.float32) * loudness
    assert correlate(one, other).similarity == pytest.approx(25 / 26, abs=0.01)
    # Unrelated stretches of 500 samples correlate by 1 / sqrt(500) each, six of them weighing a sixth in all.
    assert agreement(one, other, 0.0, 500) == pytest.approx(5 / 6, abs=0.02)


@pytest.mark.parametrize("lag", [-250.0, 0.0, 100.5])
def test_agreement_of_a_copy_is_whole_at_its_lag(lag):
    moved = np.roll(late(SMOOTH, 0.5), -101, axis=1) if lag == 100.5 else np.roll(SMOOTH, -int(lag), axis=1)
    # Rolling wraps up to 250 of 6000 samples round, which the stretches at the end show; nearly all of the rest agrees.
    assert agreement(SMOOTH, moved, lag, 500) == pytest.approx(1, abs=0.02)
    assert agreement(SMOOTH, moved, lag + 40, 500) < 0.2


def test_agreement_of_less_than_one_stretch():
    assert agreement(NOISE[:, :300], NOISE[:, :300], 0.0, 500) == pytest.approx(1, abs=1e-5)
