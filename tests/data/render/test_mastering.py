import numpy as np
import pytest

from src.data.render import mastering

RATE = 44100


def noise(seconds: float = 1.0, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(round(seconds * RATE)).astype(np.float32)


def rms(samples: np.ndarray) -> float:
    return float(np.sqrt(np.mean(samples**2)))


@pytest.mark.parametrize("wanted", [0.02, 0.06, 0.21, 0.4])
def test_loudness_is_reached_whatever_is_limited(wanted: float) -> None:
    done = mastering.set_loudness(noise(), wanted)
    # The gain is found on every eighth sample: 5500 of them tell an RMS to about 1 %.
    assert rms(done) == pytest.approx(wanted, rel=0.03)
    assert np.abs(done).max() < 0.97


@pytest.mark.parametrize(("hertz", "expected"), [(50, -6.0), (800, 0.0), (12000, 6.0)])
def test_a_tilt_lifts_one_side_and_lowers_the_other(hertz: float, expected: float) -> None:
    wave = np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE).astype(np.float32)
    tilted = mastering.tilt(wave, RATE, 6.0)
    # Four octaves away from the pivot a first-order shelf is within 0.2 dB of its end.
    assert 20 * np.log10(rms(tilted[2000:]) / rms(wave[2000:])) == pytest.approx(expected, abs=0.3)
    assert tilted.dtype == np.float32


def test_no_tilt_leaves_the_samples_alone() -> None:
    assert np.allclose(mastering.tilt(noise(0.1), RATE, 0.0), noise(0.1), atol=1e-5)


def test_silence_stays_silence() -> None:
    assert not mastering.set_loudness(np.zeros(1000, np.float32), 0.1).any()


def test_the_limiter_leaves_what_is_soft() -> None:
    ramp = np.linspace(-3, 3, 6001, dtype=np.float32)
    limited = mastering.limit(ramp)
    soft = np.abs(ramp) <= mastering.KNEE
    assert np.array_equal(limited[soft], ramp[soft])
    assert (np.diff(limited) >= 0).all()
    assert np.abs(limited).max() <= mastering.CEILING


def test_loudness_has_the_mean_and_deviation_of_table_4() -> None:
    drawn = [mastering.loudness(0.06, 0.03, (place + 0.5) / 4000) for place in range(4000)]
    # The tails that are cut hold less than a thousandth of the clips.
    assert np.mean(drawn) == pytest.approx(0.06, rel=0.005)
    assert np.std(drawn) == pytest.approx(0.03, rel=0.01)
    assert drawn == sorted(drawn)
    assert mastering.loudness(0.06, 0.03, 0.0) == 0.006
    assert mastering.loudness(0.2, 0.1, 1.0) == 0.5


def test_a_room_answers_a_click_and_fades() -> None:
    click = np.zeros(2 * RATE, np.float32)
    click[0] = 1.0
    answer = mastering.reverberate(click, RATE, 0.4)
    assert answer[0] == 1.0
    echoes = np.flatnonzero(answer[1:]) + 1
    # The first echo of each comb comes after its delay; 60 dB are lost in 1.2 s.
    assert echoes[0] == round(0.0297 * RATE)
    early, late = rms(answer[1000 : RATE // 5]), rms(answer[RATE : RATE + RATE // 5])
    assert 20 * np.log10(early / late) == pytest.approx(50, abs=6)


def test_no_room_leaves_the_samples_alone() -> None:
    dry = noise(0.1)
    assert np.array_equal(mastering.reverberate(dry, RATE, 0.0), dry)


def test_an_excerpt_begins_and_ends_without_a_click() -> None:
    faded = mastering.fade(np.ones(RATE, np.float32), RATE)
    assert faded[0] == faded[-1] == 0
    assert (faded[441:-441] == 1).all()
    assert np.abs(np.diff(faded)).max() < 0.01
