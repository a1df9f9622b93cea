"""Clips in which one chord is repeated and the first beat of every bar stressed (figure 3 of the paper)."""

from collections.abc import Iterator, Sequence
from itertools import count
from pathlib import Path

import numpy as np

from src.data.render.description import ClassDescription, PlannedClip
from src.data.render.sampler import Arrangement, Note, Part

ASPECTS = ("tempo", "seconds", "velocity", "accent", "held", "voicing", "program")
PRIMES = (2, 3, 5, 7, 11, 13, 17)
ONSET = 0.03  # seconds; every clip is faded in over the first hundredth, which would blunt the first accent
HUMAN_TIMING = 0.008  # seconds, standard deviation
HUMAN_TOUCH = 0.02  # of a velocity, standard deviation; the least accent is four times as much


def plan(one: ClassDescription, rng: np.random.Generator) -> Iterator[PlannedClip]:
    """Endless variants of tempo, length, dynamics and voicing; nothing is drawn.

    The same variant exists in every class and is their group, so that no class is told by anything else than its
    instrument and its metre.
    """
    for number in count(1):
        yield _clip(one, number)


def variant(number: int) -> dict[str, float]:
    """Where a variant lies in each aspect, from 0 to 1.

    Multiples of the square roots of primes modulo 1 fill a cube evenly, however many of them are taken (R. D.
    Richtmyer, "The evaluation of definite integrals, and a quasi-Monte-Carlo method", 1951).
    """
    return dict(zip(ASPECTS, (float(place) for place in number * np.sqrt(PRIMES) % 1), strict=True))


def _clip(one: ClassDescription, number: int) -> PlannedClip:
    settings, places = one.settings, variant(number)
    slowest, fastest = settings["tempo"]
    tempo = round(slowest * (fastest / slowest) ** places["tempo"], 1)
    programs = list(settings["programs"].items())
    player, program = programs[int(places["program"] * len(programs))]
    metre = f"{settings['beats']}/4"
    return PlannedClip(
        label=one.label,
        name=f"variant_{number:03d}",
        group=f"variant_{number:03d}",
        source=f"a C major chord in {metre} at {tempo:g} beats a minute by General MIDI program {program}, {player}",
        seconds=round(_between(one.seconds, places["seconds"]), 1),
        recipe={
            "program": program,
            "tempo": tempo,
            "beats": settings["beats"],
            "voicing": settings["voicings"][int(places["voicing"] * len(settings["voicings"]))],
            **{name: round(_between(settings[name], places[name]), 3) for name in ("velocity", "accent", "held")},
        },
        columns={"instrument": settings["instrument"], "metre": metre},
    )


def _between(bounds: Sequence[float], place: float) -> float:
    return bounds[0] + place * (bounds[1] - bounds[0])


def arrange(clip: PlannedClip, one: ClassDescription, rng: np.random.Generator, cache: Path) -> Arrangement:
    """The chord on every beat from the first beat of a bar on, as a player would place and stress it."""
    recipe, beat = clip.recipe, 60 / clip.recipe["tempo"]
    notes: list[Note] = []
    for number in range(int(np.ceil((clip.seconds - ONSET) / beat))):
        accent = recipe["accent"] if number % recipe["beats"] == 0 else 1.0
        onset = max(0.0, ONSET + number * beat + float(rng.normal(0, HUMAN_TIMING)))
        velocity = min(1.0, recipe["velocity"] * accent + float(rng.normal(0, HUMAN_TOUCH)))
        notes += [Note(onset, recipe["held"] * beat, pitch, velocity) for pitch in recipe["voicing"]]
    return Arrangement((Part(recipe["program"], tuple(notes)),))
