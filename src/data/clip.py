"""Clips and the dataset they form, before any audio is read."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from src.errors import printable

Origin = Literal["recorded", "rendered"]


@dataclass(frozen=True)
class Clip:
    """One labelled audio file.

    Attributes:
        path: the audio file.
        label: class slug, e.g. `viennese_waltz`; in a re-labelled dataset the new class.
        name: `class/file` of the base dataset, slugged class, "/" between folders, without extension: what the hash
            split reads. It does not change when a dataset is subset or re-labelled. Of a file's name, what cannot be
            printed or stored is escaped.
        group: clips sharing a group (same score, note, recording) belong on one side of a split; None: unknown.
        original: name of the first clip, in their order, whose file holds the same bytes, itself included; None: no
            other clip's does, or the files have not been compared.
        source: where the audio came from; licence: under which terms (empty: not stated).
    """

    path: Path
    label: str
    name: str
    group: str | None = None
    source: str = ""
    licence: str = ""
    original: str | None = None

    @property
    def id(self) -> str:
        """Unique within the dataset: its name with the file's extension."""
        return self.name + printable(self.path.suffix)


@dataclass(frozen=True)
class Dataset:
    """Labelled clips, and what made them.

    Attributes:
        name: as configured, e.g. `ballroom9`.
        base: the dataset whose audio and split it uses, e.g. `ballroom`.
        root: folder that holds the audio.
        classes: labels in the order of the classifier's outputs.
        clips: sorted by label, then name.
        origin: `recorded`, or `rendered` where a synthesiser made the audio.
        provenance: what made the audio in one line (folder, publication, sound font and seed).
        notes: what was left out or is worth knowing, a line each.
    """

    name: str
    base: str
    root: Path
    classes: tuple[str, ...]
    clips: tuple[Clip, ...]
    origin: Origin
    provenance: str
    notes: tuple[str, ...] = ()
