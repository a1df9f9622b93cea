"""Synthetic clips that the head tests learn from."""

import numpy as np

from src.features.examples import Examples
from src.head import Trainer


def none_of(examples):
    """No clip, of as many features."""
    return Examples(examples.features[:0], examples.labels[:0])


def clouds(counts, *, features=8, distance=2.0, seed=0):
    """Gaussian clouds of unit deviation, `counts[k]` points of class k, centres `distance` deviations from 0."""
    centres = np.random.default_rng(99).standard_normal((len(counts), features))
    centres *= distance / np.linalg.norm(centres, axis=1, keepdims=True)
    labels = np.repeat(np.arange(len(counts)), counts)
    noise = np.random.default_rng(seed).standard_normal((len(labels), features))
    return Examples((centres[labels] + noise).astype(np.float32), labels)


def short(max_steps=40, *, batch_size=10, validate_every=10, threads=1):
    """A trainer of few steps."""
    return Trainer(
        max_steps=max_steps,
        batch_size=batch_size,
        validate_every=validate_every,
        accelerator="cpu",
        threads=threads,
        progress_bar=False,
    )


def same_tensors(one, other):
    """Whether two fitted heads are the same bits."""
    ours, theirs = one.tensors(), other.tensors()
    return ours.keys() == theirs.keys() and all(np.array_equal(ours[name], theirs[name]) for name in ours)


class Recorder:
    """A logger that remembers."""

    def __init__(self):
        self.points = []

    def log_metrics(self, metrics, step=None):
        self.points.append((step, metrics))
