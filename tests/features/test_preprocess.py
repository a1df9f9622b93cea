"""The paper's conditions: exact levels, nothing else changed."""

from pathlib import Path

import numpy as np
import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from src.data.waveform import Waveform
from src.errors import UserError
from src.features.preprocess import Preprocess

CONDITIONS = Path(__file__).parents[2] / "conf" / "preprocess"
AUGMENTED = [-35.0, -30.0, -25.0, -20.0, -15.0, -10.0, -5.0, 0.0]  # paper, section 6


def noise(channels: int = 2, count: int = 1000, peak: float = 0.3) -> Waveform:
    samples = np.random.default_rng(0).uniform(-1, 1, (channels, count)).astype(np.float32)
    return Waveform((samples * (peak / np.abs(samples).max())).astype(np.float32), 8000)


def peak_db(samples: np.ndarray) -> float:
    return float(20 * np.log10(np.abs(samples).max()))


def test_unprocessed_is_the_clip_itself():
    waveform = noise()
    assert Preprocess("unprocessed", [])(waveform) is waveform


def test_normalized_peaks_at_full_scale_over_all_channels():
    samples = noise(1).samples
    waveform = Waveform(np.concatenate([samples, samples * np.float32(0.25)]), 8000)
    processed = Preprocess("normalized", [0.0])(waveform)
    assert processed.sample_rate == 8000
    assert np.abs(processed.samples[0]).max() == pytest.approx(1, rel=1e-7)  # float32 has 24 bits
    # One gain for all channels: what they were to each other they remain.
    assert np.abs(processed.samples[1]).max() == pytest.approx(0.25, rel=1e-7)


def test_augmented_is_eight_copies_quietest_first():
    waveform = noise(count=500)
    processed = instantiate(OmegaConf.load(CONDITIONS / "augmented.yaml"), _convert_="all")(waveform)
    assert processed.samples.shape == (2, 8 * 500)
    assert processed.samples.dtype == np.float32
    copies = np.split(processed.samples, 8, axis=1)
    # The gain is rounded to float32: 2^-24 of it is 5e-7 dB.
    assert [peak_db(copy) for copy in copies] == pytest.approx(AUGMENTED, abs=2e-6)
    for copy, level in zip(copies, AUGMENTED, strict=True):
        expected = waveform.samples.astype(np.float64) * (10 ** (level / 20) / np.abs(waveform.samples).max())
        np.testing.assert_allclose(copy, expected, rtol=2e-7)


def test_nothing_is_requantised():
    # At -35 dB a 16-bit grid would leave 583 steps; float32 keeps every one of these 5000 values apart.
    samples = np.linspace(0.1, 1, 5000, dtype=np.float32)[None]
    processed = Preprocess("x", [-35.0])(Waveform(samples, 8000))
    assert len(np.unique(processed.samples)) == 5000


def test_the_given_waveform_stays_as_it_is():
    waveform = noise()
    before = waveform.samples.copy()
    Preprocess("normalized", [0.0])(waveform)
    np.testing.assert_array_equal(waveform.samples, before)


def test_silence_stays_silence_at_its_length():
    silence = Waveform(np.zeros((2, 100), np.float32), 8000)
    assert Preprocess("normalized", [0.0])(silence).samples.tolist() == silence.samples.tolist()
    processed = Preprocess("augmented", AUGMENTED)(silence)
    assert processed.samples.shape == (2, 800)
    assert not processed.samples.any()


@pytest.mark.parametrize("peak", [1e-30, 2.0**-24, 1e-4, 3.0, 1e30])
def test_any_loudness_comes_to_the_same_level(peak):
    processed = Preprocess("normalized", [-20.0])(noise(peak=peak))
    assert peak_db(processed.samples) == pytest.approx(-20, abs=1e-5)


def test_the_smallest_float_is_raised_or_kept_but_never_becomes_infinite():
    processed = Preprocess("normalized", [0.0])(Waveform(np.array([[1e-45, 0.0]], np.float32), 8000))
    assert np.isfinite(processed.samples).all()
    assert processed.samples[0, 0] > 0
    assert processed.samples[0, 1] == 0


@pytest.mark.parametrize("level", [0.1, 6.0])
def test_levels_above_full_scale_are_refused(level):
    with pytest.raises(UserError, match=r"preprocess\.levels_dbfs: got .*; expected levels of at most 0 dBFS"):
        Preprocess("x", [-10.0, level])


@pytest.mark.parametrize("level", [float("nan"), float("-inf")])
def test_levels_that_are_no_numbers_are_refused(level):
    with pytest.raises(UserError, match=r"preprocess\.levels_dbfs"):
        Preprocess("x", [level])
