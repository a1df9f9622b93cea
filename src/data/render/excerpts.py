"""Clips that are excerpts of full scores, played by one of a few ensembles."""

from collections.abc import Iterable, Iterator
from itertools import chain, zip_longest
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from src.data.render import corpus, description
from src.data.render.corpus import Score
from src.data.render.description import ClassDescription, PlannedClip
from src.data.render.sampler import Arrangement, Note, Part

# Once all material has been used, it comes again: (semitones, factor of the tempo).
VARIANTS = (
    (0, 1.0),
    (-2, 1.06),
    (3, 0.94),
    (-4, 0.97),
    (2, 1.09),
    (5, 1.03),
    (-1, 0.91),
    (4, 1.12),
    (-3, 1.0),
    (1, 0.95),
)
FIRST_PART_LOUDER = 2.0  # dB
ARTICULATION = 0.95
HUMAN_TIMING = 0.008  # seconds, standard deviation


class Movement(NamedTuple):
    """A stretch of a score in one tempo.

    Attributes:
        name: identifies it; the group of its clips.
        file: below music21's corpus.
        tempo: quarter notes a minute.
        quarters: where it starts and ends, in quarter notes; None: a short piece, repeated until the clip is full.
    """

    name: str
    file: str
    tempo: float
    quarters: tuple[float, float] | None

    def windows(self, seconds: float, tempo: float) -> int:
        """How many clips fit side by side."""
        if self.quarters is None:
            return 1
        return int((self.quarters[1] - self.quarters[0]) * 60 / tempo / seconds + 1e-6)


def movements(pool: str) -> list[Movement]:
    """The movements of one pool of `_scores.yaml`."""
    content: dict[str, Any] = description.shared()[pool]
    if "files" in content:
        paths = corpus.files(content["files"])
        return [Movement(Path(path).stem.replace(".", "-"), path, content["tempo"], None) for path in paths]
    return [
        Movement(name, one["file"], one["tempo"], (float(one["quarters"][0]), float(one["quarters"][1])))
        for name, one in content.items()
    ]


def plan(one: ClassDescription, rng: np.random.Generator) -> Iterator[PlannedClip]:
    """All clips the scores yield, different material first.

    Pools of one tier take turns, the next tier follows when they are used up. Within a pool the movements take turns,
    so that few clips come from many scores.
    """
    for variant in range(len(VARIANTS)):
        for tier in one.settings["pools"]:
            yield from _alternate([_pool(one, pool, variant, rng) for pool in tier])


def _pool(one: ClassDescription, pool: str, variant: int, rng: np.random.Generator) -> list[PlannedClip]:
    queues = []
    for movement in movements(pool):
        tempo = movement.tempo * VARIANTS[variant][1]
        windows = rng.permutation(movement.windows(one.seconds[1], tempo))
        queues.append([_clip(one, movement, int(window), variant, rng) for window in windows])
    return list(_alternate([queues[index] for index in rng.permutation(len(queues))]))


def _alternate(queues: list[list[PlannedClip]]) -> Iterator[PlannedClip]:
    rounds: Iterable[tuple[PlannedClip | None, ...]] = zip_longest(*queues)
    return (clip for clip in chain.from_iterable(rounds) if clip is not None)


def _clip(
    one: ClassDescription, movement: Movement, window: int, variant: int, rng: np.random.Generator
) -> PlannedClip:
    shift, factor = VARIANTS[variant]
    tempo = movement.tempo * factor
    first = movement.quarters[0] if movement.quarters else 0.0
    recipe = {
        "score": movement.file,
        "start": round(first + window * one.seconds[1] * tempo / 60, 4),
        "tempo": tempo,
        "semitones": shift,
        "repeat": movement.quarters is None,
    }
    return PlannedClip(
        label=one.label,
        name=f"{movement.name}_{window + 1:02d}" + (f"_v{variant}" if variant else ""),
        group=movement.name,
        source=f"music21 corpus {movement.file}",
        seconds=round(float(rng.uniform(*one.seconds)), 1),
        recipe=recipe,
    )


def arrange(clip: PlannedClip, one: ClassDescription, rng: np.random.Generator, cache: Path) -> Arrangement:
    """The excerpt, played by one of the class's ensembles with drawn dynamics: those of the score are left out."""
    score = corpus.read(clip.recipe["score"], cache)
    ensembles: list[list[int]] = list(one.settings["ensembles"].values())
    first = int(rng.integers(len(ensembles)))
    parts: list[Part] = []
    quarter = 60 / float(clip.recipe["tempo"])
    passes = int(clip.seconds / (score.quarters * quarter)) + 1 if clip.recipe["repeat"] else 1
    for verse in range(passes):
        programs = ensembles[(first + verse) % len(ensembles)]
        swell = _swell(rng)
        for index, voice in enumerate(score.parts):
            timed = _timed(voice, score, quarter, clip.recipe["start"] - verse * score.quarters)
            notes = tuple(_played(timed, clip, swell, rng))
            program = programs[index * len(programs) // len(score.parts)]
            parts.append(Part(program, notes, gain=FIRST_PART_LOUDER if index == 0 else 0.0))
    return Arrangement(tuple(parts))


class _Swell(NamedTuple):
    level: float
    depth: float
    period: float
    phase: float

    def at(self, seconds: float) -> float:
        return self.level + self.depth * float(np.sin(2 * np.pi * seconds / self.period + self.phase))


def _swell(rng: np.random.Generator) -> _Swell:
    """Velocity over time: the same distribution for every class, lest loudness give the class away."""
    drawn = rng.uniform((0.55, 0.05, 5.0, 0.0), (0.8, 0.18, 14.0, 2 * np.pi))
    return _Swell(*(float(value) for value in drawn))


def _timed(
    voice: tuple[corpus.ScoreNote, ...], score: Score, quarter: float, start: float
) -> Iterator[tuple[float, float, int, bool]]:
    """(begin, end, pitch, on the first beat) in seconds; `quarter` is the length of one, `start` is where to start."""
    for onset, duration, pitch in voice:
        begin, end = (onset - start) * quarter, (onset - start + duration * ARTICULATION) * quarter
        yield begin, end, pitch, onset % score.bar < 0.01


def _played(
    voice: Iterable[tuple[float, float, int, bool]], clip: PlannedClip, swell: _Swell, rng: np.random.Generator
) -> Iterator[Note]:
    """Notes that sound within the clip, as a player would place and stress them."""
    for due, end, pitch, stressed in voice:
        if end <= 0 or due >= clip.seconds:
            continue
        velocity = swell.at(due) + (0.06 if stressed else 0.0) + float(rng.normal(0, 0.03))
        begin = max(0.0, due + float(rng.normal(0, HUMAN_TIMING)))
        if end > begin + 0.02:
            yield Note(begin, end - begin, pitch + clip.recipe["semitones"], float(np.clip(velocity, 0.2, 1.0)))
