"""Clips and the dataset they form, before any audio is read."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from src.data.audio import Window
from src.data.parts import Part
from src.errors import printable

Excerpt = tuple[float, float | None]
Origin = Literal["recorded", "rendered"]


@dataclass(frozen=True)
class Clip:
    """One labelled audio file, or a part of one.

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
        part: of the dataset's own split; fold: of its own folds. None: it has none.
        excerpt: first and last second of the clip within its file (last None: the end); None: the clip is the file, as
            `dataset.start` and `dataset.duration` cut every file.
        window_of: id of the clip that this is a window of; None: it is none.
    """

    path: Path
    label: str
    name: str
    group: str | None = None
    source: str = ""
    licence: str = ""
    original: str | None = None
    part: Part | None = None
    fold: str | None = None
    excerpt: Excerpt | None = None
    window_of: str | None = None

    @property
    def id(self) -> str:
        """Unique within the dataset: its name with the file's extension, and the seconds of an excerpt."""
        whole = self.name + printable(self.path.suffix)
        if self.excerpt is None:
            return whole
        start, end = self.excerpt
        return f"{whole}@{start:g}-" + ("" if end is None else f"{end:g}")

    def cut(self, window: Window) -> Window:
        """Which part of its file the clip is.

        Args:
            window: that of every clip which is no excerpt.
        """
        if self.excerpt is None:
            return window
        start, end = self.excerpt
        return Window(start, None if end is None else end - start, window.sample_rate)

    def content(self, digest: str) -> str:
        """What tells the clip's content from others: the digest of its file, or of that and the excerpt."""
        if self.excerpt is None:
            return digest
        return hashlib.sha256(f"{digest} {self.excerpt}".encode()).hexdigest()

    def grouped(self, group: str | None) -> "Clip":
        """The same clip in a group."""
        return replace(self, group=group)


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
