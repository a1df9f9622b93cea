import numpy as np
import pytest

from src.backbone.resize import resize, scaled
from src.errors import UserError

ROW = np.array([[0, 10, 20, 30]], np.uint8)


@pytest.mark.parametrize("antialias", [True, False])
def test_a_picture_of_the_wanted_size_is_untouched(antialias: bool) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (12, 7), dtype=np.uint8)
    assert np.array_equal(resize(picture, 12, 7, antialias=antialias)[0], picture)


def test_averaging_weighs_every_old_pixel_by_a_triangle() -> None:
    # Halving: the new pixel's centre is at 1.0, the old ones' at 0.5, 1.5, 2.5, 3.5; weight 1 - distance/2, at least 0.
    first = (0 * 0.75 + 10 * 0.75 + 20 * 0.25) / 1.75
    second = (10 * 0.25 + 20 * 0.75 + 30 * 0.75) / 1.75
    # float32 arithmetic on values below 30
    assert resize(ROW, 1, 2, antialias=True)[0, 0] == pytest.approx([first, second], abs=1e-5)


def test_without_averaging_four_neighbours_as_tensorflow_1_had_it() -> None:
    # Halving: the places are 0 and 2, exactly on old pixels; the others are never looked at.
    assert resize(ROW, 1, 2, antialias=False)[0, 0].tolist() == [0, 20]
    # Doubling: the places are 0, 0.5, ... 3.5, and nothing lies beyond the last pixel.
    assert resize(ROW, 1, 8, antialias=False)[0, 0].tolist() == [0, 5, 10, 15, 20, 25, 30, 30]
    assert resize(ROW.T, 8, 1, antialias=False)[0, :, 0].tolist() == [0, 5, 10, 15, 20, 25, 30, 30]


def test_both_directions_at_once() -> None:
    # f(row, column) = 8 row + column is linear, so the point (0.5, 0.5) lies at the mean of its four neighbours.
    picture = (8 * np.arange(4)[:, None] + np.arange(4)).astype(np.uint8)
    assert resize(picture, 8, 8, antialias=False)[0, 1, 1] == 4.5


def test_averaging_sees_a_click_one_frame_wide() -> None:
    # 1200 -> 299 columns: 4.01 old pixels each. Averaging keeps the click's energy wherever it is; four neighbours
    # read columns 597 and 598, then 602 and 603, so this click is lost.
    picture = np.zeros((1, 1200), np.uint8)
    picture[0, 600] = 255
    averaged = resize(picture, 1, 299, antialias=True)[0, 0]
    # The weights that an old pixel has in all new ones add up to 299/1200, within 2 %: 1200/299 is no whole number.
    assert averaged.sum() == pytest.approx(255 * 299 / 1200, rel=0.02)
    assert resize(picture, 1, 299, antialias=False).sum() == 0


@pytest.mark.parametrize("antialias", [True, False])
def test_colours_are_squashed_apart(antialias: bool) -> None:
    colours = np.random.default_rng(0).integers(0, 256, (20, 30, 3), dtype=np.uint8)
    together = resize(colours, 9, 11, antialias=antialias)
    apart = [resize(colours[..., c], 9, 11, antialias=antialias)[0] for c in range(3)]
    assert np.array_equal(together, apart)


def test_the_protocols_scale() -> None:
    values = np.array([[[0, 128, 255]]], np.float32)
    assert scaled(values, (128.0,) * 3, (128.0,) * 3)[0, 0].tolist() == [-1, 0, 127 / 128]


def test_grey_becomes_three_channels_each_with_its_own_scale() -> None:
    values = np.full((1, 2, 2), 100, np.float32)
    out = scaled(values, (100.0, 90.0, 80.0), (1.0, 10.0, 40.0))
    assert out.shape == (3, 2, 2)
    assert out[:, 0, 0].tolist() == [0, 1, 0.5]


@pytest.mark.parametrize("shape", [(0, 5), (5, 0), (5, 5, 2), (5, 5, 4)])
def test_what_is_no_picture_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UserError, match=r"expected \(rows, columns\) or \(rows, columns, 3\)"):
        resize(np.zeros(shape, np.uint8), 4, 4, antialias=True)
