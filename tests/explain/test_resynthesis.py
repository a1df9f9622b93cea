"""Two sounds that add up to the clip, each with its own part of it."""

import numpy as np
import pytest
from tones import clip, image_transform

from src.data.waveform import Waveform
from src.explain.grid import Grid, divide
from src.explain.resynthesis import split

ROUNDING = 2.0**-23  # of a float32 near 1; both sounds are rounded once


def grid_of(waveform, cells=(20, 5)):
    return divide(image_transform(), waveform, image_transform().picture(waveform).shape, cells)


def everything(seconds: float, rate: int) -> Grid:
    """One cell that is all there is to hear."""
    none = np.zeros(0, np.int64)
    return Grid(none, none, np.array([rate / 2 + 1, -1.0]), np.array([0.0, seconds]))


@pytest.mark.parametrize("count", [1, 7, 1000, 44100])
@pytest.mark.parametrize("channels", [1, 2])
def test_all_of_it_is_the_clip_itself_phase_included(count, channels):
    rng = np.random.default_rng(0)
    waveform = Waveform(rng.uniform(-1, 1, (channels, count)).astype(np.float32), 44100)
    only, without = split(waveform, everything(waveform.duration, 44100), np.array([[True]]), 0.093)
    np.testing.assert_allclose(only.samples, waveform.samples, rtol=0, atol=ROUNDING)
    np.testing.assert_allclose(without.samples, 0, atol=1e-12)  # float64 sums of windows that add up to one


@pytest.mark.parametrize("window", [0.02, 0.093, 0.5])
def test_the_two_add_up_to_the_clip(window):
    rng = np.random.default_rng(1)
    waveform = Waveform(rng.uniform(-1, 1, (2, 20000)).astype(np.float32), 16000)
    grid = grid_of(waveform)
    only, without = split(waveform, grid, rng.random(grid.shape) < 0.5, window)
    assert only.samples.dtype == without.samples.dtype == np.float32
    assert only.sample_rate == without.sample_rate == 16000
    np.testing.assert_allclose(only.samples + without.samples, waveform.samples, rtol=0, atol=2 * ROUNDING)
    assert np.abs(only.samples).max() > 0.1 < np.abs(without.samples).max()


def level(samples, hertz, rate=16000):
    """Amplitude of a tone in the middle of a clip."""
    middle = samples[len(samples) // 4 : 3 * len(samples) // 4]
    window = np.hanning(len(middle))
    time = np.arange(len(middle)) / rate
    return 2 * abs(np.sum(middle * window * np.exp(-2j * np.pi * hertz * time))) / window.sum()


def test_a_tone_goes_with_its_band():
    time = np.arange(16000) / 16000
    waveform = Waveform(
        (0.3 * np.sin(2 * np.pi * 400 * time) + 0.2 * np.sin(2 * np.pi * 3000 * time))[None].astype("f4"), 16000
    )
    grid = grid_of(waveform)
    cells = np.zeros(grid.shape, bool)
    cells[np.searchsorted(-grid.hertz, -3000.0) - 1] = True
    only, without = split(waveform, grid, cells, 0.093)
    # 3000 Hz lies 200 Hz inside its band: 25 bins, where a Hann window's side lobes are 80 dB down
    assert level(only.samples[0], 3000) == pytest.approx(0.2, rel=1e-3)
    assert level(without.samples[0], 400) == pytest.approx(0.3, rel=1e-3)
    assert level(only.samples[0], 400) < 3e-4
    assert level(without.samples[0], 3000) < 2e-4


def test_a_moment_goes_with_its_time():
    waveform = clip(0, toned=True)
    grid = grid_of(waveform)
    cells = np.zeros(grid.shape, bool)
    cells[:, 3:] = True
    only, without = split(waveform, grid, cells, 0.032)
    edge = round(0.6 * 16000)
    # frames reach 512 samples beyond their middle, and are cut at their middle
    assert np.abs(only.samples[0, : edge - 512]).max() < 1e-7
    early = waveform.samples[0, : edge - 512] - without.samples[0, : edge - 512]
    assert np.abs(early).max() < 1e-7
    heard = only.samples[0, edge + 512 :]
    kept = waveform.samples[0, edge + 512 :]
    assert np.mean((heard - kept) ** 2) < 0.05 * np.mean(kept**2)  # what the picture does not show is not in it


def test_what_the_picture_does_not_show_is_left_in_the_rest():
    time = np.arange(44100) / 44100
    waveform = Waveform((0.5 * np.sin(2 * np.pi * 5 * time))[None].astype(np.float32), 44100)
    grid = grid_of(waveform)
    only, without = split(waveform, grid, np.ones(grid.shape, bool), 0.5)
    assert np.abs(only.samples).max() < 0.1
    assert level(without.samples[0], 5, 44100) == pytest.approx(0.5, rel=0.02)
