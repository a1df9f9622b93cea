"""Distances to training clips: near for clips like them, far for others, whatever the features' scale."""

import numpy as np
import pytest

from src.evaluation.novelty import NearestClips


def clips(rng, centre, count):
    """Features of very different scales around a centre; the last one is constant."""
    rows = centre + 0.15 * rng.standard_normal((count, 6))
    return np.hstack([rows * [1, 10, 100, 1, 1, 1000], np.full((count, 1), 7.0)]).astype(np.float32)


def test_what_is_unlike_all_training_clips_is_far():
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((3, 6))
    nearest = NearestClips.of(np.vstack([clips(rng, centre, 40) for centre in centres]))
    like = nearest.distance(np.vstack([clips(rng, centre, 20) for centre in centres]))
    unlike = nearest.distance(clips(rng, -3 * centres[0], 20))
    assert np.median(unlike) > np.quantile(like, 0.95)
    assert ((like >= 0) & (like <= 2)).all()


def test_a_training_clip_is_its_own_neighbour():
    rng = np.random.default_rng(1)
    features = clips(rng, np.zeros(6), 10)
    distances, positions = NearestClips.of(features).neighbours(features[3:4], 3)
    assert positions[0, 0] == 3
    assert distances[0, 0] == pytest.approx(0, abs=1e-6)  # rounding of a distance computed from squares
    assert (np.diff(distances[0]) >= 0).all()
    assert NearestClips.of(features[:2]).neighbours(features[:1], 9)[1].shape == (1, 2)
