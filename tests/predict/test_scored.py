"""What is said of a whole file, from what is said of its windows."""

from pathlib import Path

import numpy as np
import pytest

from src.predict.windows import Prediction, Scored


def test_a_file_is_judged_by_the_mean_over_its_windows():
    """One window is sure of the first class, two lean to the second: 1.3 against 1.7 of three."""
    rows = ([0.9, 0.1], [0.2, 0.8], [0.2, 0.8])
    windows = tuple(Scored(float(i), i + 1.0, np.array(row, np.float32)) for i, row in enumerate(rows))
    overall = Prediction(Path("x.wav"), windows).overall
    assert (overall.start, overall.end) == (0, 3)
    assert overall.probabilities.tolist() == pytest.approx([1.3 / 3, 1.7 / 3])
