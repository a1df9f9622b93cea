"""Where windows begin and end, and that a file like those of training is one window."""

import pytest

from src.data.audio import Window
from src.errors import UserError
from src.predict.windows import Cutting
from src.tracking.model_card import ModelCard

CARD = ModelCard({}, {}, ("a",), "linear", typical_seconds=30.0, longest_seconds=31.0)
Found = list[tuple[float, float | None]]


def cut(trained: Window, seconds: float, *, start=None, window=None, first=None) -> Found:
    cutting = Cutting.of(trained, CARD, start=start, window=window)
    cutting = cutting if first is None else cutting.after(first)
    return [(one.start, one.duration) for one in cutting.windows(float(seconds))]


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.5, [(0, 10)]), (10, [(0, 10)]), (14.9, [(0, 10)]),
        (15.0, [(0, 10), (10, 10)]),  # a rest of half a window counts
        (24.9, [(0, 10), (10, 10)]), (30, [(0, 10), (10, 10), (20, 10)]),
    ],
)  # fmt: skip
def test_windows_are_as_long_as_in_training(seconds, expected):
    assert cut(Window(30.0, 10.0, None), seconds) == expected


def test_files_of_the_datasets_own_begin_where_its_clips_do():
    trained = Window(30.0, 10.0, None)
    assert cut(trained, 55, first=30.0) == [(30, 10), (40, 10), (50, 10)]
    assert cut(trained, 20, first=30.0) == [(30, 10)]  # decoding says that nothing is left


def test_trained_on_whole_files_a_like_file_is_taken_whole_and_a_longer_one_cut():
    trained = Window(0.0, None, None)
    assert cut(trained, 31.0) == [(0, None)]
    assert cut(trained, 31.05) == [(0, None)]  # what a lossy header may be off by
    assert cut(trained, 44.0) == [(0, 30)]
    assert cut(trained, 75.0) == [(0, 30), (30, 30), (60, 30)]


def test_what_is_asked_for_counts_instead():
    assert cut(Window(0.0, None, None), 5.0, window=2.0) == [(0, 2), (2, 2), (4, 2)]
    assert cut(Window(0.0, 10.0, None), 5.0, start=1.0, window=2.0) == [(1, 2), (3, 2)]
    assert Cutting.of(Window(0.0, 10.0, 8000), CARD, start=None, window=None).windows(9.0)[0].sample_rate == 8000


@pytest.mark.parametrize(("words", "told"), [({"start": -1.0}, "start=-1"), ({"window": -2.0}, "window=-2")])
def test_impossible_ones_are_refused(words, told):
    with pytest.raises(UserError, match=told):
        Cutting.of(Window(0.0, 10.0, None), CARD, **{"start": None, "window": None, **words})
