"""What a stand-in consists of: its description in `stand_ins/*.yaml`, and the clips planned from it."""

import functools
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from src.errors import UserError

FOLDER = Path(__file__).parent.parent / "stand_ins"


@dataclass(frozen=True)
class ClassDescription:
    """One class of a stand-in.

    Attributes:
        label: class slug.
        clips: how many clips the full dataset has (the paper's table 1).
        kind: how its clips come about: `excerpts` of scores, a `band` playing a tune, single `notes`, `chords`.
        seconds: shortest and longest clip.
        rms: mean and standard deviation of the clips' loudness (the paper's table 4); None: left as played.
        room: level of the reverberation against the direct sound, 0 to 1.
        colour: by how much recordings differ in brightness: standard deviation of their tilt, in dB.
        settings: what only its kind understands.
    """

    label: str
    clips: int
    kind: str
    seconds: tuple[float, float]
    rms: tuple[float, float] | None
    room: float
    colour: float
    settings: dict[str, Any]


@dataclass(frozen=True)
class Description:
    """One stand-in dataset.

    Attributes:
        dataset: its name.
        sample_rate: of the audio files, in Hz.
        proportional: a smaller edition keeps the proportion of the classes.
        classes: by label.
        notes: what a reader of the manifest should know.
        digest: SHA-256 of everything above: another description, another rendering.
    """

    dataset: str
    sample_rate: int
    proportional: bool
    classes: dict[str, ClassDescription]
    notes: tuple[str, ...]
    digest: str

    def cardinalities(self, clips_per_class: int | None) -> dict[str, int]:
        """Clips of each class in an edition of `clips_per_class` (None: the full one).

        An unbalanced dataset shrinks in proportion to its largest class, but no class below 5 clips, so that each
        can still be split; a balanced one takes `clips_per_class` from every class.
        """
        full = {label: one.clips for label, one in self.classes.items()}
        if clips_per_class is None:
            return full
        if clips_per_class < 1:
            raise UserError(f"clips_per_class: got {clips_per_class}; expected 1 or more, or nothing for all of them")
        if not self.proportional:
            return {label: min(clips, clips_per_class) for label, clips in full.items()}
        share = clips_per_class / max(full.values())
        return {label: min(clips, max(min(5, clips_per_class), round(clips * share))) for label, clips in full.items()}


def names() -> list[str]:
    """Names of the datasets that can be rendered."""
    return sorted(path.stem for path in FOLDER.glob("[!_]*.yaml"))


@functools.cache
def load(dataset: str) -> Description:
    """Reads the description of a dataset, or of the one it is an alias of.

    Raises:
        UserError: no such description.
    """
    path = FOLDER / f"{dataset}.yaml"
    if dataset not in names():
        raise UserError(f"dataset {dataset!r} has no stand-in; expected one of {', '.join(names())}")
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    if "alias_of" in content:
        return load(content["alias_of"])
    common = content.get("all_classes", {})
    classes = {label: _class(label, {**common, **(own or {})}) for label, own in content["classes"].items()}
    return Description(
        dataset=dataset,
        sample_rate=content["sample_rate"],
        proportional=content.get("proportional", False),
        classes=classes,
        notes=tuple(" ".join(note.split()) for note in content["notes"]),
        digest=hashlib.sha256(json.dumps([content, shared()], sort_keys=True).encode()).hexdigest(),
    )


@functools.cache
def shared() -> dict[str, Any]:
    """The table of scores that several descriptions draw from (`_scores.yaml`)."""
    content: dict[str, Any] = yaml.safe_load((FOLDER / "_scores.yaml").read_text(encoding="utf-8"))
    return content


def _class(label: str, content: dict[str, Any]) -> ClassDescription:
    settings = dict(content)
    rms = settings.pop("rms", None)
    low, high = settings.pop("seconds")
    return ClassDescription(
        label=label,
        clips=settings.pop("clips"),
        kind=settings.pop("kind"),
        seconds=(float(low), float(high)),
        rms=None if rms is None else (float(rms[0]), float(rms[1])),
        room=float(settings.pop("room", 0.0)),
        colour=float(settings.pop("colour", 0.0)),
        settings=settings,
    )


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
        number: position among the clips of its class, from 0.
    """

    label: str
    name: str
    group: str
    source: str
    seconds: float
    recipe: dict[str, Any]
    columns: dict[str, str] = field(default_factory=dict)
    number: int = 0


def generator(seed: int, *words: str) -> np.random.Generator:
    """Random numbers that depend on the seed and on what they are for, not on what was drawn before."""
    digest = hashlib.sha256("/".join((str(seed), *words)).encode()).digest()
    return np.random.default_rng(int.from_bytes(digest[:16]))
