"""The mel spectrogram against torchaudio's own transform, and physics."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torchaudio
import yaml

from src.errors import UserError
from src.spectrogram.mel import Mel
from src.spectrogram.mel_bands import band_sums

CONF = Path(__file__).resolve().parents[2] / "conf/spectrogram/mel.yaml"


def mel(**changed: object) -> Mel:
    shipped = yaml.safe_load(CONF.read_text())
    del shipped["_target_"]
    return Mel(**{**shipped, **changed})


def tone(hz: float, rate: int, amplitude: float, seconds: float = 1) -> np.ndarray:
    return (amplitude * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)


@pytest.mark.parametrize("power", [1.0, 2.0])
def test_bands_are_torchaudios(power: float) -> None:
    samples = np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    transform = torchaudio.transforms.MelSpectrogram(
        16000, 1024, hop_length=160, f_min=20, f_max=8000, n_mels=64, power=power, pad_mode="constant"
    )
    theirs = transform(torch.from_numpy(samples)).numpy()[:, :100]
    edges = mel(n_mels=64, fmax=8000.0).band_edges(16000)
    ours = band_sums(samples, 16000, edges, n_fft=1024, pixels_per_second=100, power=power)
    # The same up to a factor, that of a unit tone; float32 sums of up to a hundred bins.
    np.testing.assert_allclose(ours * (theirs[9, 9] / ours[9, 9]), theirs, rtol=1e-4, atol=1e-5 * theirs.max())


@pytest.mark.parametrize("rate", [16000, 22050, 44100])
@pytest.mark.parametrize("hz", [500, 3000])
def test_a_tone_lights_the_row_of_its_frequency(hz: float, rate: int) -> None:
    spectrogram = mel()
    row = int(spectrogram.picture(tone(hz, rate, 0.5), rate)[:, 50].argmax())
    frequencies = spectrogram.frequencies(rate)
    assert abs(frequencies[row] - hz) <= frequencies[row - 1] - frequencies[row + 1]


def test_a_unit_tone_in_a_wide_band_is_white_and_half_of_it_six_decibels_less() -> None:
    spectrogram = mel(n_mels=20)
    hz = float(spectrogram.frequencies(44100)[5])
    loud, soft = (spectrogram.picture(tone(hz, 44100, amplitude), 44100)[5, 50] for amplitude in (1, 0.5))
    # The window's lobe falls on the triangle's flanks as well as on its tip: within 1 dB of white, 3.2 levels.
    assert loud >= 251
    # 6.02 of 80 dB are 19.2 levels, and each is truncated.
    assert 19 <= int(loud) - int(soft) <= 20


def test_linear_brightness_is_proportional_to_power() -> None:
    spectrogram = mel(range_db=None, white_amplitude=0.5)
    loud, soft = (int(spectrogram.picture(tone(5000, 44100, a), 44100)[:, 50].max()) for a in (0.4, 0.2))
    # A quarter, each truncated.
    assert 4 * soft <= loud <= 4 * soft + 4


@pytest.mark.parametrize("gain", [1e-30, 0.01, 1e20])
def test_loudness_changes_nothing_with_the_peak_as_reference(gain: float) -> None:
    samples = np.random.default_rng(0).standard_normal(4000).astype(np.float32)
    spectrogram = mel(reference="peak")
    louder = spectrogram.picture(samples * np.float32(gain), 8000).astype(int)
    assert np.abs(louder - spectrogram.picture(samples, 8000)).max() <= 1
    assert louder.max() >= 254


@pytest.mark.parametrize("count", [1, 3000])
@pytest.mark.parametrize("changed", [{}, {"reference": "peak"}, {"range_db": None}])
def test_silence_is_black(count: int, changed: dict[str, object]) -> None:
    assert not mel(**changed).picture(np.zeros(count, np.float32), 16000).any()


# Above Nyquist at 8 kHz; bands narrower than a bin of the window at 96 kHz; nothing below Nyquist at 1 kHz.
@pytest.mark.parametrize(
    ("rate", "changed"), [(8000, {}), (96000, {}), (1000, {"fmin": 600.0}), (1000, {"fmin": 600.0, "fmax": None})]
)
def test_rows_are_black_above_nyquist_and_only_there(rate: int, changed: dict[str, object]) -> None:
    spectrogram = mel(**changed)
    picture = spectrogram.picture(np.random.default_rng(0).standard_normal(rate).astype(np.float32), rate)
    centres = spectrogram.frequencies(rate)
    # A band whose centre is above Nyquist may still reach below it.
    assert picture[centres < rate / 2].any(axis=1).all()
    lower_edges = np.append(centres[1:], spectrogram.fmin)
    assert not picture[lower_edges >= rate / 2].any()


def test_columns_follow_the_clock_where_a_hop_is_no_whole_number_of_samples() -> None:
    # 220.5 samples a column: the click at 10 s would be 2 columns off with hops of 220.
    samples = np.zeros(22050 * 11, np.float32)
    samples[220_500] = 1
    assert mel(n_fft=256).picture(samples, 22050).sum(axis=0, dtype=int).argmax() == 1000


def test_no_maximum_means_nyquist() -> None:
    rate = 16000
    assert mel(fmax=None).frequencies(rate)[0] < rate / 2 < mel().frequencies(rate)[0]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("n_fft", 8),
        ("pixels_per_second", 0),
        ("n_mels", 0),
        ("fmin", -1.0),
        ("fmax", 20.0),
        ("power", 0.0),
        ("range_db", 0.0),
        ("white_amplitude", 0.0),
        ("reference", "loud"),
    ],
)
def test_a_wrong_setting_is_named(key: str, value: object) -> None:
    with pytest.raises(UserError, match=rf"spectrogram\.{key}: got .*; expected "):
        mel(**{key: value})


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(UserError, match="NaN or infinity"):
        mel().picture(np.full(100, np.nan, np.float32), 8000)
