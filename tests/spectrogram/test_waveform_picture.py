"""The drawn waveform, worked out by hand."""

from pathlib import Path

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from src.errors import UserError
from src.spectrogram.waveform import WaveformPicture

CONF = Path(__file__).resolve().parents[2] / "conf/spectrogram/waveform.yaml"


def drawn(**changed: object) -> WaveformPicture:
    shipped = yaml.safe_load(CONF.read_text())
    del shipped["_target_"]
    return WaveformPicture(**{**shipped, **changed})


def test_a_column_spans_its_samples_and_the_one_before() -> None:
    samples = np.array([0, 1, 0, 0, -1, -1, 0.5, 0.5], np.float32)
    picture = drawn(height=5, pixels_per_second=4).picture(samples, 8)
    expected = [[1, 1, 0, 0], [1, 1, 0, 1], [1, 1, 1, 1], [0, 0, 1, 1], [0, 0, 1, 1]]
    np.testing.assert_array_equal(picture, 255 * np.array(expected))


def test_silence_is_a_line_through_the_middle() -> None:
    picture = drawn(height=5).picture(np.zeros(800, np.float32), 8000)
    np.testing.assert_array_equal(picture[:, 0], [0, 0, 255, 0, 0])
    assert (picture == picture[:, :1]).all()


def test_louder_is_taller_with_a_fixed_reference_only() -> None:
    wave = np.sin(np.arange(8000) / 5).astype(np.float32)
    fixed, own = drawn(), drawn(reference="peak")
    heights = [int((fixed.picture(wave * np.float32(gain), 8000)[:, 5] > 0).sum()) for gain in (0.25, 0.5, 1, 4)]
    # 121 rows for amplitudes from -1 to 1, within a row of rounding at either end.
    assert heights == pytest.approx([31, 61, 121, 121], abs=2)
    np.testing.assert_array_equal(own.picture(wave * np.float32(0.25), 8000), own.picture(wave, 8000))


@given(count=st.integers(1, 3000), rate=st.sampled_from([30, 8000, 11025, 44100]), height=st.integers(2, 40))
def test_every_column_has_an_unbroken_trace(count: int, rate: int, height: int) -> None:
    samples = np.random.default_rng(count).uniform(-2, 2, count).astype(np.float32)
    picture = drawn(height=height).picture(samples, rate) > 0
    assert picture.shape == (height, -(-count * 100 // rate))
    steps = np.diff(np.pad(picture, ((1, 1), (0, 0))).astype(int), axis=0)
    np.testing.assert_array_equal((steps == 1).sum(axis=0), 1)
    # Neighbours touch: they share the sample between them.
    assert (picture[:, 1:] & picture[:, :-1]).any(axis=0).all()


def test_rows_are_not_frequencies() -> None:
    assert drawn().frequencies(8000) is None
    assert drawn().columns_per_second == 100


@pytest.mark.parametrize(("key", "value"), [("height", 1), ("pixels_per_second", 0), ("reference", "rms")])
def test_a_wrong_setting_is_named(key: str, value: object) -> None:
    with pytest.raises(UserError, match=rf"spectrogram\.{key}: got .*; expected "):
        drawn(**{key: value})


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(UserError, match="NaN or infinity"):
        drawn().picture(np.full(100, np.inf, np.float32), 8000)
