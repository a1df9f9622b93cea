import numpy as np
import pytest

from src.backbone import Backbone
from src.backbone.pixels import Pixels
from src.errors import UserError


def test_a_picture_of_its_own_size_is_its_features() -> None:
    pixels = Pixels(rows=2, columns=3)
    picture = np.array([[0, 51, 102], [153, 204, 255]], np.uint8)
    features = pixels.embed([pixels.prepare(picture)])
    assert features.dtype == np.float32
    assert np.array_equal(features, np.array([[0, 51, 102, 153, 204, 255]], np.float32) / np.float32(255))


def test_names_say_where_a_pixel_is() -> None:
    pixels = Pixels(rows=32, columns=42)
    assert len(pixels.feature_names) == 32 * 42
    assert pixels.feature_names[0] == "pixel_r00_c00"
    assert pixels.feature_names[42] == "pixel_r01_c00"
    assert pixels.feature_names[-1] == "pixel_r31_c41"


def test_a_bright_band_stays_where_it_is() -> None:
    picture = np.zeros((96, 420), np.uint8)
    picture[48:51] = 255
    small = Pixels(rows=32, columns=42).prepare(picture).reshape(32, 42)
    assert small.mean(axis=1).argmax() == 16


def test_colours_are_averaged() -> None:
    colours = np.zeros((4, 4, 3), np.uint8)
    colours[..., 0] = 255
    # a third in float32
    assert Pixels(rows=2, columns=2).prepare(colours) == pytest.approx(1 / 3, abs=1e-6)


def test_it_is_a_backbone() -> None:
    pixels = Pixels(rows=4, columns=5)
    assert isinstance(pixels, Backbone)
    assert pixels.load() is pixels
    assert pixels.identity == {"model": "pixels", "rows": 4, "columns": 5}
    assert pixels.embed([]).shape == (0, 20)


@pytest.mark.parametrize(("rows", "columns", "key"), [(0, 5, "rows"), (5, 4096, "columns")])
def test_impossible_sizes_are_refused(rows: int, columns: int, key: str) -> None:
    with pytest.raises(UserError, match=rf"backbone\.{key}: got .* expected from 1 to 1024"):
        Pixels(rows=rows, columns=columns)
