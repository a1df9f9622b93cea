import numpy as np
import pytest
from tones import clip, image_transform

from src.explain.grid import divide
from src.explain.occlusion import Effects
from src.explain.regions import candidates, deciding, elsewhere, regions


def test_the_fewest_cells_that_carry_the_share():
    effects = np.array([[5.0, -9.0, 1.0], [0.0, 3.0, 1.0]])
    assert deciding(effects, 0.5, 0.9).tolist() == [[True, False, False], [False, False, False]]
    assert deciding(effects, 0.51, 0.9).tolist() == [[True, False, False], [False, True, False]]
    assert deciding(effects, 1.0, 0.9).sum() == 4  # what speaks against it, or not at all, never decides
    assert deciding(effects, 1.0, 0.34).sum() == 2


def test_nothing_decides_where_nothing_speaks_for_the_class():
    assert not deciding(np.array([[-1.0, 0.0]]), 0.5, 0.5).any()


def test_whole_bands_and_whole_times_are_candidates_beside_cells():
    effects = Effects(np.array([1.0, 6.0, 0.0]), np.array([4.0, 0.5]), np.array([[0, 0], [1.0, 0], [0, 0]]))
    found = {one.name: one for one in candidates(effects, 0.5, 0.5)}
    assert found["cells"].cells.tolist() == [[False, False], [True, False], [False, False]]
    assert found["bands"].cells.tolist() == [[False, False], [True, True], [False, False]]
    assert found["times"].cells.tolist() == [[True, False]] * 3
    assert found["bands"].share == pytest.approx(6 / 7)
    assert found["bands"].basis.sum() == pytest.approx(7)
    assert found["cells"].share == 1


def test_a_single_band_is_no_candidate_as_a_whole():
    effects = Effects(np.array([1.0]), np.array([1.0, 2.0]), np.array([[1.0, 2.0]]))
    assert [one.name for one in candidates(effects, 0.5, 0.6)] == ["cells", "times"]


def test_cells_that_touch_are_one_region_in_hertz_and_seconds():
    waveform = clip(0, toned=True)
    grid = divide(image_transform(), waveform, image_transform().picture(waveform).shape, (4, 4))
    cells = np.array([[1, 1, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 0]], bool)
    effects = np.arange(16.0).reshape(4, 4)
    small, big = regions(cells, effects, grid)  # the larger sum of effects first
    assert (small.cells, big.cells) == (1, 3)
    assert big.seconds == (0.0, 0.5)
    assert big.hertz == (grid.hertz[2], grid.hertz[0])
    assert small.hertz == (grid.hertz[3], grid.hertz[2])
    assert big.effect == 0 + 1 + 5
    assert small.effect == 10


def test_elsewhere_is_the_same_shape_in_other_places_each_once():
    cells = np.zeros((5, 4), bool)
    cells[1:3, 0] = True
    found = elsewhere(cells, 100, np.random.default_rng(0))
    assert len(found) == 19
    assert len({other.tobytes() for other in found}) == 19
    assert all(other.sum() == 2 and not np.array_equal(other, cells) for other in found)
    assert len(elsewhere(cells, 7, np.random.default_rng(0))) == 7
    band = np.zeros((5, 4), bool)
    band[2] = True
    assert len(elsewhere(band, 100, np.random.default_rng(0))) == 4
    assert elsewhere(np.zeros((5, 4), bool), 10, np.random.default_rng(0)) == []
