"""Cells, pixels, hertz and seconds agree."""

import numpy as np
import pytest
from tones import ASPERES, clip, image_transform

from src.data.waveform import Waveform
from src.errors import UserError
from src.explain.grid import divide
from src.spectrogram.asperes import Asperes
from src.spectrogram.mel import Mel
from src.spectrogram.waveform import WaveformPicture

MEL = Mel(1024, 100, 40, 20.0, None, 2.0, 60.0, "full_scale", 1.0)


def of(drawn, waveform, cells):
    picture = drawn.picture(waveform)
    return divide(drawn, waveform, picture.shape[:2], cells), picture


@pytest.mark.parametrize("spectrogram", [ASPERES, MEL])
@pytest.mark.parametrize("cells", [(1, 1), (7, 3), (20, 16)])
def test_a_pixel_and_its_own_frequency_and_instant_lie_in_the_same_cell(spectrogram, cells):
    drawn, waveform = image_transform(spectrogram), clip(0, toned=True)
    grid, picture = of(drawn, waveform, cells)
    assert grid.shape == cells
    chosen = np.random.default_rng(1).random(cells) < 0.5
    centres = spectrogram.frequencies(waveform.sample_rate)
    heard = centres < waveform.sample_rate / 2
    instants = np.arange(picture.shape[1]) / spectrogram.columns_per_second
    at = grid.at(centres, instants, chosen)
    np.testing.assert_array_equal(grid.pixels(chosen)[heard], at[heard])
    assert not grid.pixels(np.ones(cells, bool))[~heard].any()


def test_bands_end_at_half_the_sample_rate_and_fall_together_to_the_lowest_row():
    grid, _ = of(image_transform(), clip(0, toned=True), (10, 4))
    assert grid.hertz[0] == pytest.approx(8000, rel=0.03)  # the edge of the last semitone below it
    assert grid.hertz[-1] == pytest.approx(20 - 20 * (2 ** (1 / 12) - 1) / 2, rel=1e-6)  # half a row below the lowest
    assert (np.diff(grid.hertz) < 0).all()
    np.testing.assert_allclose(grid.seconds, [0, 0.25, 0.5, 0.75, 1])
    rows = np.bincount(grid.band_of_row[grid.band_of_row >= 0])
    assert rows.max() - rows.min() <= 1


def test_each_cell_is_the_same_instants_in_every_copy():
    drawn = image_transform(levels=[-12.0, -6.0, 0.0])
    grid, picture = of(drawn, clip(0, toned=True), (5, 4))
    assert picture.shape[1] == 300
    np.testing.assert_array_equal(grid.time_of_column, np.tile(np.repeat(np.arange(4), 25), 3))


def test_rows_that_are_no_frequencies_are_one_band():
    grid, _ = of(image_transform(WaveformPicture(30, 100, "full_scale")), clip(0, toned=True), (20, 4))
    assert grid.shape == (1, 4)
    assert grid.hertz is None
    chosen = np.array([[True, False, False, True]])
    assert grid.pixels(chosen).all(axis=0).sum() == 50
    assert grid.at(np.array([0.0, 5000.0]), np.array([0.1, 0.3, 0.9]), chosen).tolist() == [[True, False, True]] * 2


@pytest.mark.parametrize("count", [1, 50, 400])
def test_a_short_clip_has_no_more_times_than_columns(count):
    waveform = Waveform(np.full((1, count), 0.1, np.float32), 16000)
    grid, picture = of(image_transform(), waveform, (20, 16))
    assert grid.shape[1] == picture.shape[1] <= 16
    assert grid.pixels(np.ones(grid.shape, bool)).any(axis=0).all()


def test_means_are_those_of_each_cells_pixels():
    grid, picture = of(image_transform(), clip(0, toned=True), (6, 3))
    values = np.random.default_rng(0).random(picture.shape)
    means = grid.means(values)
    for band, time in np.ndindex(6, 3):
        one = np.zeros((6, 3), bool)
        one[band, time] = True
        assert means[band, time] == pytest.approx(values[grid.pixels(one)].mean(), rel=1e-12)


def test_a_rate_at_which_no_band_is_heard_is_refused():
    low = Waveform(np.full((1, 2000), 0.1, np.float32), 4000)
    with pytest.raises(UserError, match=r"nothing below 2000 Hz.*spectrogram of lower bands"):
        of(image_transform(Asperes(3000.0, 6000.0, 12, 100, "full_scale", 0.1)), low, (8, 4))
