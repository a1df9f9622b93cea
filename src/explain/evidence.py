"""What a model makes of pictures, and how much that speaks for a class."""

from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from src.backbone import Backbone

Picture = UInt8[np.ndarray, "rows columns *colours"]


@dataclass(frozen=True)
class Eye:
    """A backbone that looks at many pictures of one clip.

    Attributes:
        workers: threads.
    """

    backbone: Backbone
    workers: int

    def features(self, pictures: Iterable[Picture]) -> Float32[np.ndarray, "pictures features"]:
        """A row each, in order; only a few pictures are held at a time."""
        size = self.backbone.batch_size
        rows = [np.empty((0, len(self.backbone.feature_names)), np.float32)]
        with ThreadPoolExecutor(self.workers) as pool:
            for some in _batches(pictures, max(size, 4 * self.workers) if size == 1 else size):
                inputs = list(pool.map(self.backbone.prepare, some))
                if size == 1:
                    rows += pool.map(lambda each: self.backbone.embed([each]), inputs)
                else:
                    rows.append(self.backbone.embed(inputs))
        return np.concatenate(rows)


def _batches(pictures: Iterable[Picture], size: int) -> Iterator[list[Picture]]:
    source = iter(pictures)
    while some := list(islice(source, size)):
        yield some


def log_odds(probabilities: Float32[np.ndarray, "pictures classes"], target: int) -> Float64[np.ndarray, " pictures"]:
    """The logarithm of a class's probability over that of all others together, in nats.

    Unlike the probability itself it does not saturate: from 99.9 % to 99 % is as far as from 50 % to 9 %. It does not
    depend on what a softmax leaves open, a constant added to all logits. A probability of exactly 0, which forests and
    votes give, counts as half the smallest one among these pictures.
    """
    values = probabilities.astype(np.float64)
    floor = values[values > 0].min() / 2
    others = np.delete(values, target, axis=1).sum(axis=1)
    found: Float64[np.ndarray, " pictures"] = np.log(np.maximum(values[:, target], floor)) - np.log(
        np.maximum(others, floor)
    )
    return found
