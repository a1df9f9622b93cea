"""Which clips a stand-in consists of, before anything is read or rendered."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice

import numpy as np

from src.data.render import band, chords, description, excerpts, notes
from src.data.render.arrangement import Arranger, PlannedClip, generator
from src.data.render.description import ClassDescription

Planner = Callable[[ClassDescription, np.random.Generator], Iterator[PlannedClip]]
# For each kind of class: which clips it has, and what sounds in one of them.
KINDS: dict[str, tuple[Planner, Arranger]] = {
    "excerpts": (excerpts.plan, excerpts.arrange),
    "band": (band.plan, band.arrange),
    "notes": (notes.plan, notes.arrange),
    "chords": (chords.plan, chords.arrange),
}


def plan(dataset: str, clips_per_class: int | None, seed: int) -> list[PlannedClip]:
    """Clips of a stand-in dataset; those of a smaller edition come first in every class of the full one.

    Args:
        dataset: name of a stand-in, e.g. `composer`.
        clips_per_class: None for as many as the paper's table 1 has.
        seed: of everything that is drawn.

    Raises:
        UserError: no such stand-in.
        ValueError: its description promises more clips than its material yields.
    """
    described = description.load(dataset)
    planned: list[PlannedClip] = []
    for label, count in described.cardinalities(clips_per_class).items():
        one = described.classes[label]
        planner, _ = KINDS[one.kind]
        found = list(islice(planner(one, generator(seed, described.dataset, label)), count))
        if len(found) < count:
            raise ValueError(f"stand-in {dataset}: {label} yields {len(found)} clips; its description promises {count}")
        planned += [replace(clip, number=number) for number, clip in enumerate(found)]
    return planned
