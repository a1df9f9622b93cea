"""The parts that the paper's spectrogram is made of: lengths, means, blocks, and the plans that are kept."""

from concurrent.futures import ThreadPoolExecutor

import asperes_reference as reference
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from src.spectrogram.asperes_bands import Grid, Scale, nearest, smooth
from src.spectrogram.asperes_envelopes import Blocks, PixelMeans, Plans, Whole, make_plan, wrapped

SCALE = Scale(fmin=20.0, bands=121, bins_per_octave=12, pixels_per_second=100)


@given(n=st.integers(1, 10**7))
def test_smooth_numbers_are_the_next_products_of_twos_and_threes(n: int) -> None:
    assert smooth(n) == reference.smooth(n)


def test_halves_round_up() -> None:
    assert [nearest(x) for x in (0.49, 0.5, 1.5, 2.5, 2.51)] == [0, 1, 2, 3, 3]


@given(first=st.integers(-300, 300), length=st.integers(0, 300), period=st.integers(1, 50))
def test_a_wrapped_range_is_the_range(first: int, length: int, period: int) -> None:
    pieces = list(wrapped(first, first + length, period))
    plain = [n for _, there in pieces for n in range(there.start, there.stop)]
    assert plain == list(range(first, first + length))
    assert [n for here, _ in pieces for n in range(here.start, here.stop)] == [n % period for n in plain]


# The tool's own padding of its golden inputs.
@pytest.mark.parametrize(
    ("samples", "rate", "padded", "pixels"),
    [
        (220_500, 44100, 642_978, 1458),
        (441_000, 44100, 857_304, 1944),
        (88_200, 44100, 508_032, 1152),
        (64_000, 16000, 233_280, 1458),
        (37, 16000, 155_520, 972),
    ],
)
def test_clips_are_padded_as_the_tool_pads_them(samples: int, rate: int, padded: int, pixels: int) -> None:
    grid = Grid.of_clip(SCALE, samples, rate)
    assert (grid.samples, grid.pixels) == (padded, pixels)


@given(samples=st.integers(1, 10**6), rate=st.sampled_from([1000, 8000, 11025, 12345, 44100]))
def test_no_clip_has_more_columns_than_its_grid_allows(samples: int, rate: int) -> None:
    grid = Grid.of_clip(SCALE, samples, rate)
    assert samples * 100 / rate <= grid.columns <= grid.pixels


@pytest.mark.parametrize("keep", [True, False])
@pytest.mark.parametrize(("points", "pixels"), [(100, 99), (972, 486), (59049, 4096)])
def test_pixels_are_means_under_a_blackman_window(points: int, pixels: int, keep: bool) -> None:
    means = PixelMeans(points, pixels, 50, keep)
    envelope = np.random.default_rng(0).random(points).astype(np.float32)
    # float32 sums of about 30 weighted points.
    expected = reference._pixels(envelope.astype(np.float64), pixels, 50)
    np.testing.assert_allclose(means(envelope[: means.needed]), expected, rtol=1e-5)


@pytest.mark.parametrize(("rate", "seconds"), [(44100, 3), (22050, 4.5), (8000, 2)])
def test_blocks_are_the_whole(rate: int, seconds: float) -> None:
    samples = np.random.default_rng(0).standard_normal(round(rate * seconds)).astype(np.float32)
    grid = Grid.of_clip(SCALE, len(samples), rate)
    plan = make_plan(grid, keep=True)
    assert isinstance(plan, Blocks)
    above = {band.points for band in grid.bands if band.points > grid.pixels}
    means = {points: PixelMeans(points, grid.pixels, grid.columns, keep=True) for points in above}
    pictures = np.zeros((2, 121, round(seconds * 100)), np.float32)
    plan.draw(samples, pictures[0])
    Whole(grid, grid.bands, means, grid.samples).draw(samples, pictures[1])
    # Half a grey level of the brightest pixel.
    np.testing.assert_allclose(pictures[0], pictures[1], atol=pictures[1].max() / 510)


# A pixel is 123.45 samples at 12345 Hz and 220.5 at 22050 Hz, where 2187 pixels are no whole number of samples.
@pytest.mark.parametrize(("samples", "rate"), [(5000, 12345), (253_575, 22050)])
def test_lengths_that_no_block_suits_are_computed_whole(samples: int, rate: int) -> None:
    assert isinstance(make_plan(Grid.of_clip(SCALE, samples, rate), keep=True), Whole)


def test_clips_of_similar_lengths_share_a_plan() -> None:
    plans = Plans()
    assert plans.of(Grid.of_clip(SCALE, 8000, 8000)) is plans.of(Grid.of_clip(SCALE, 8100, 8000))


def test_plans_used_long_ago_are_dropped() -> None:
    plans = Plans(kept_points=1)
    first, second = (Grid.of_clip(SCALE, samples, 8000) for samples in (8000, 80_000))
    kept = plans.of(first)
    assert plans.of(first) is kept
    plans.of(second)
    assert plans.of(first) is not kept


def test_one_plan_is_made_for_threads_that_ask_at_once() -> None:
    plans, grid = Plans(), Grid.of_clip(SCALE, 8000, 8000)
    with ThreadPoolExecutor(8) as pool:
        assert len(set(map(id, pool.map(plans.of, [grid] * 8)))) == 1
