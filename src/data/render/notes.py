"""Clips that are single notes, as in NSynth: every pitch at every velocity by every instrument of the class."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from src.data.render.description import ClassDescription, PlannedClip
from src.data.render.sampler import Arrangement, Note, Part

ONSET = 0.02  # seconds; every clip is faded in over the first hundredth, which would blunt the attack
GOLDEN = (5**0.5 - 1) / 2
STRONGEST = 127


def plan(one: ClassDescription, rng: np.random.Generator) -> Iterator[PlannedClip]:
    """All notes of the class; nothing is drawn.

    A small edition has the same pitches at the same velocities in every class, lest they give the class away: pitches
    that all classes have come first. Every pitch is played once, by the class's instruments in turn, before any is
    played again, by another instrument or at another velocity.
    """
    low, high = one.settings["pitches"]
    first, last = one.settings["common_pitches"]
    common = range(max(low, first), min(high, last) + 1)
    yield from _passes(one, common)
    yield from _passes(one, set(range(low, high + 1)) - set(common))


def _passes(one: ClassDescription, pitches: Iterable[int]) -> Iterator[PlannedClip]:
    ways = [(name, velocity) for velocity in one.settings["velocities"] for name in one.settings["programs"]]
    scattered = sorted(pitches, key=lambda pitch: pitch * GOLDEN % 1)  # a few of them span the range already
    for turn in range(len(ways)):
        for pitch in scattered:
            # Neighbouring pitches differ in how they are played, so that nothing keeps to one register.
            yield _clip(one, pitch, *ways[(pitch + turn) % len(ways)])


def _clip(one: ClassDescription, pitch: int, name: str, velocity: int) -> PlannedClip:
    program = one.settings["programs"][name]
    return PlannedClip(
        label=one.label,
        name=f"{name}_{pitch:03d}_{velocity:03d}",
        group=f"{name}_{pitch:03d}",
        source=f"note {pitch} at velocity {velocity} by General MIDI program {program}, {name}",
        seconds=one.seconds[1],
        recipe={"program": program, "pitch": pitch, "velocity": velocity},
        columns={"instrument": name, "pitch": str(pitch), "velocity": str(velocity)},
    )


def arrange(clip: PlannedClip, one: ClassDescription, rng: np.random.Generator, cache: Path) -> Arrangement:
    """The note, held as long as the class says and then released."""
    recipe = clip.recipe
    note = Note(ONSET, float(one.settings["held"]), recipe["pitch"], recipe["velocity"] / STRONGEST)
    return Arrangement((Part(recipe["program"], (note,)),))
