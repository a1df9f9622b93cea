"""A small cell made by hand: three seeds, six clips of three classes."""

from typing import Any

import numpy as np

from src.gallery.judged import Judged

SAID = np.array([[0, 1, 1, 1, 0, 2], [0, 1, 1, 2, 0, 2], [0, 1, 1, 2, 1, 2]])
TARGETS = np.array([0, 0, 1, 1, 2, 2])


def hand(classes: tuple[str, ...] = ("a", "b", "c"), ids: tuple[str, ...] | None = None, **changes: Any) -> Judged:
    probabilities = np.full((3, 6, 3), 0.1)
    for seed, clip in np.ndindex(3, 6):
        probabilities[seed, clip, SAID[seed, clip]] = 0.8
    probabilities[:, 4, 0] += [0.05, 0.05, -0.05]  # clip 4: less sure of its mistake than clip 1
    names = tuple(f"{classes[target]}/{i}.wav" for i, target in enumerate(TARGETS))
    values: dict[str, Any] = {
        "seeds": (0, 1, 4), "classes": classes, "ids": ids or names,
        "groups": ("g", None, None, None, None, None), "seconds": np.array([1.0, 2.0, np.nan, 1.0, 1.0, 1.0]),
        "targets": TARGETS, "said": SAID, "probabilities": probabilities,
    }  # fmt: skip
    return Judged(**{**values, **changes})
