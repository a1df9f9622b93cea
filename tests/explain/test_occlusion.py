import numpy as np
import pytest
from tones import ASPERES, clip, image_transform, settings
from toy import Toy

from src.backbone.pixels import Pixels
from src.errors import UserError
from src.explain import occlusion
from src.explain.grid import divide
from src.explain.occlusion import Eye, log_odds
from src.head.network import FittedNetwork, Scaling


def grid_of(picture, waveform, cells=(4, 2)):
    return divide(image_transform(), waveform, picture.shape[:2], cells)


def test_log_odds_do_not_saturate_and_ignore_constants():
    probabilities = np.array([[0.5, 0.25, 0.25], [1.0, 1e-20, 1e-20], [1e-20, 0.5, 0.5]], np.float32)
    expected = [0.0, -np.log(2e-20), np.log(1e-20)]
    np.testing.assert_allclose(log_odds(probabilities, 0), expected, rtol=1e-6)  # float32 holds 7 digits


def test_a_probability_of_0_counts_as_half_the_smallest():
    probabilities = np.array([[1.0, 0.0], [0.75, 0.25]], np.float32)  # a forest of four trees
    np.testing.assert_allclose(log_odds(probabilities, 0), [np.log(1 / 0.125), np.log(3)], rtol=1e-6)


def test_hidden_parts_show_the_pixel_of_median_brightness_that_sound_can_reach():
    waveform = clip(0, toned=True)
    picture = np.random.default_rng(0).integers(10, 201, (121, 100)).astype(np.uint8)
    grid = grid_of(picture, waveform)
    picture[grid.band_of_row < 0] = 0  # above half the rate: black, and no part of the background
    heard = np.sort(picture[grid.band_of_row >= 0].ravel())
    assert occlusion.fill(picture, grid, "background") == heard[len(heard) // 2]
    assert occlusion.fill(picture, grid, "lowest") == heard[0] >= 10
    colour = np.stack([picture, picture // 2, 255 - picture], axis=2)
    level = occlusion.fill(colour, grid, "background")
    assert (colour.reshape(-1, 3) == level).all(axis=1).any()  # a colour that occurs, not a mixture
    cells = np.zeros(grid.shape, bool)
    cells[1, 0] = True
    shown = occlusion.hidden(colour, grid, cells, level)
    changed = (shown != colour).any(axis=2)
    assert (shown[grid.pixels(cells)] == level).all()
    assert not changed[~grid.pixels(cells)].any()


def test_effects_of_a_model_that_adds_up_pixels_are_those_of_the_pixels():
    """A linear model of the unsquashed picture: the log-odds fall by weight times what is hidden, exactly."""
    waveform = clip(0, toned=True)
    picture = image_transform(ASPERES).picture(waveform)
    grid = grid_of(picture, waveform)
    level = occlusion.fill(picture, grid, "background")
    backbone = Pixels(*picture.shape)
    features = Eye(backbone, 2).features(occlusion.variants(picture, grid, level))
    assert len(features) == 1 + 4 + 2 + 8
    np.testing.assert_array_equal(features[0], picture.ravel() / np.float32(255))
    rng = np.random.default_rng(0)
    weight = np.stack([rng.normal(0, 0.01, picture.size), np.zeros(picture.size)]).astype(np.float32)
    scaling = Scaling(np.zeros(picture.size, np.float32), np.ones(picture.size, np.float32))
    head = FittedNetwork("linear", scaling, (weight,), (np.zeros(2, np.float32),))
    found = occlusion.effects(head, features, grid.shape, 0)
    gone = weight[0].reshape(picture.shape) * (picture.astype(float) - float(level)) / 255
    for band, time in np.ndindex(grid.shape):
        one = np.zeros(grid.shape, bool)
        one[band, time] = True
        # probabilities are float32: seven digits of each log-odds
        assert found.cells[band, time] == pytest.approx(gone[grid.pixels(one)].sum(), abs=1e-5)
    np.testing.assert_allclose(found.bands, found.cells.sum(axis=1), atol=5e-5)
    np.testing.assert_allclose(found.times, found.cells.sum(axis=0), atol=5e-5)


def test_one_class_is_no_decision():
    scaling = Scaling(np.zeros(3, np.float32), np.ones(3, np.float32))
    head = FittedNetwork("linear", scaling, (np.ones((1, 3), np.float32),), (np.zeros(1, np.float32),))
    with pytest.raises(UserError, match="knows one class only"):
        occlusion.effects(head, np.ones((4, 3), np.float32), (1, 1), 0)


@pytest.mark.parametrize("size", [1, 3])
def test_rows_stay_in_order_and_batches_within_their_size(size):
    backbone = Toy(batch_size=size)
    pictures = (np.full((2, 2), i, np.uint8) for i in range(11))
    assert Eye(backbone, 2).features(pictures)[:, 0].tolist() == list(range(11))
    assert max(backbone.embedded) == size


@pytest.mark.parametrize(
    ("key", "value"),
    [("bands", 0), ("times", 500), ("fill", "white"), ("base", "saliency"), ("share", 0.0), ("area", 1.0),
     ("n_resamples", -1), ("seed", -1), ("window", 0.0)],
)  # fmt: skip
def test_settings_are_refused_by_name(key, value):
    with pytest.raises(UserError, match=rf"explanation\.{key}: got"):
        settings(**{key: value})
