"""What planning hands to arranging, and arranging to the sampler."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from src.data.render.description import ClassDescription
from src.data.render.sampler import Note, Part


@dataclass(frozen=True)
class PlannedClip:
    """One clip, before it is rendered.

    Attributes:
        label: class slug.
        name: file name without extension; with the label it identifies the clip.
        group: clips with the same group share their material.
        source: where the material comes from, in words.
        seconds: length of the audio.
        recipe: what its kind needs to arrange it: score, tempo, pitch...
        columns: further columns of the manifest.
        number: its place among the clips of its class, from 0.
    """

    label: str
    name: str
    group: str
    source: str
    seconds: float
    recipe: dict[str, Any]
    columns: dict[str, str] = field(default_factory=dict)
    number: int = 0


@dataclass(frozen=True)
class Song:
    """A part sung by a synthetic voice: its notes, `female` or `male`, and its level against the parts in dB."""

    notes: tuple[Note, ...]
    sex: str
    gain: float


@dataclass(frozen=True)
class Arrangement:
    """All that sounds in a clip, and how many seconds of it pass before the clip begins."""

    parts: tuple[Part, ...]
    song: Song | None = None
    skip: float = 0.0


Arranger = Callable[[PlannedClip, ClassDescription, np.random.Generator, Path], Arrangement]


def generator(seed: int, *words: str) -> np.random.Generator:
    """Random numbers that depend on the seed and on what they are for, not on what was drawn before."""
    digest = hashlib.sha256("/".join((str(seed), *words)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16]))
