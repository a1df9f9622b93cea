"""Which clips train, validate and test. Every rule depends on the clips alone, never on the condition or the seed."""

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Int64

from src.data.clip import Clip, Dataset
from src.data.duplicates import SAME_BYTES
from src.data.parts import Part
from src.errors import UserError

RULES = ("hash", "stratified", "grouped", "kfold", "given", "folds", "leave_one_out")
FOLDED = ("kfold", "folds", "leave_one_out")
"""Rules of which one fold after the other may test."""
_LARGEST_HASH = 2**27 - 1
_TENTHS = 10
_GROUPS_FROM = (
    "groups come from a table's column (dataset.columns.group), or from dataset.group_pattern, a regular expression "
    "whose first group names the recording (matched on class/file)"
)


@dataclass(frozen=True)
class Split:
    """A rule that gives each clip its part.

    Attributes:
        name: `hash` (the paper's), `stratified`, `grouped`, `kfold` (one fold tests, the next validates), `given` (the
            dataset's own parts), `folds` (the dataset's own folds, or made ones; one tests, all others train) or
            `leave_one_out` (one group tests, all others train).
        seed: of the shuffling. folds: how many are made.
        fold: which one tests, from 0, or `all`: each in turn, so that every clip is tested once.
    """

    name: str
    seed: int
    folds: int
    fold: int | Literal["all"]

    def __post_init__(self) -> None:
        if self.name not in RULES:
            raise UserError(f"split.name: got {self.name!r}; expected one of {', '.join(RULES)}")
        least = {"kfold": 3, "folds": 2}.get(self.name)
        if least is not None and self.folds < least:
            validates = ", one validates" * (self.name == "kfold")
            raise UserError(
                f"split.folds={self.folds}: expected at least {least} (one tests{validates}, the rest train)"
            )
        if self.name in FOLDED and self.fold != "all":
            most = self.folds - 1 if self.name == "kfold" else None
            if self.fold < 0 or (most is not None and self.fold > most):
                above = "" if most is None else f" to {most}"
                raise UserError(f"split.fold={self.fold}: expected a fold from 0{above}, or all")

    def key(self) -> dict[str, str | int]:
        """What determines the parts, besides the clips: settings that this rule does not read are left out."""
        key: dict[str, str | int] = {"name": self.name}
        if self.name in ("stratified", "grouped", "kfold", "folds"):
            key["seed"] = self.seed
        if self.name in ("kfold", "folds"):
            key["folds"] = self.folds
        if self.name in FOLDED:
            key["fold"] = self.fold
        return key

    def key_for(self, base: str) -> dict[str, str | int]:
        """As `key`, with the name of the base dataset where the rule reads it."""
        return {**self.key(), "base": base} if self.name == "hash" else self.key()

    def own_key(self, dataset: Dataset) -> dict[str, str]:
        """The dataset's own part or fold of each clip, where the rule reads it; empty where it does not."""
        if self.name == "given":
            return {clip.id: clip.part for clip in dataset.clips if clip.part is not None}
        if self.name == "folds":
            return {clip.id: clip.fold for clip in dataset.clips if clip.fold is not None}
        return {}

    @property
    def pooled(self) -> bool:
        """Whether every fold tests in turn."""
        return self.name in FOLDED and self.fold == "all"

    def runs(self, dataset: Dataset) -> list["Split"]:
        """A split for each fold that tests; the split itself where that is one."""
        return [replace(self, fold=fold) for fold in range(len(self.fold_names(dataset)))] if self.pooled else [self]

    def fold_names(self, dataset: Dataset) -> list[str]:
        """What each fold is called: the dataset's own name, the group that is left out, or its number.

        Raises:
            UserError: `leave_one_out` with fewer than two groups, own folds for some clips only, or fewer than two.
        """
        clips = dataset.clips
        if self.name == "leave_one_out":
            groups = sorted({clip.group for clip in clips if clip.group is not None}, key=_natural)
            lacking = sum(clip.group is None for clip in clips)
            if len(groups) < 2 or lacking:
                raise UserError(
                    f"{dataset.name}: split=leave_one_out leaves out each group, but {len(groups)} groups are known "
                    f"and {lacking} clips have none; {_GROUPS_FROM}"
                )
            return groups
        own = {clip.fold for clip in clips}
        if self.name == "folds" and own != {None}:
            if None in own or len(own) < 2:
                raise UserError(
                    f"{dataset.name}: split=folds: {sum(clip.fold is None for clip in clips)} of {len(clips)} clips "
                    f"have no fold, the others {len(own - {None})}; expected one of two or more for each"
                )
            return sorted((fold for fold in own if fold is not None), key=_natural)
        return [str(fold) for fold in range(self.folds)]

    def tested_fold(self, dataset: Dataset) -> str:
        """What the fold that tests is called; empty for rules without folds, `all` where each does in turn.

        Raises:
            UserError: as `fold_names`, or there are fewer folds.
        """
        if self.name not in FOLDED:
            return ""
        names = self.fold_names(dataset)
        if self.fold == "all":
            return "all"
        if self.fold >= len(names):
            raise UserError(
                f"split.fold={self.fold}: {dataset.name} has {len(names)} folds; expected 0 to {len(names) - 1}"
            )
        return names[self.fold]

    def parts(self, dataset: Dataset) -> list[Part]:
        """The part of each clip, in the dataset's order; where every fold tests in turn, `test` for all.

        Raises:
            UserError: what the rule needs is not known of the clips, or a class is left without training clips.
        """
        if self.pooled:
            for run in self.runs(dataset):
                run.parts(dataset)
            return ["test"] * len(dataset.clips)
        parts = self.assign(dataset)
        missing = _untrained(dataset, parts)
        if missing:
            sizes = Counter(clip.label for clip in dataset.clips)
            listed = ", ".join(f"{label} ({sizes[label]} clips)" for label in missing)
            raise UserError(
                f"{dataset.name}: split={self.name} leaves no training clips for {listed}; "
                f"{self._advice(dataset, missing)}"
            )
        return parts

    def tested_parts(self, dataset: Dataset) -> list[Part]:
        """As `parts`, with at least one test clip.

        Raises:
            UserError: as `parts`, or no clip tests.
        """
        parts = self.parts(dataset)
        if "test" not in parts:
            raise UserError(
                f"{dataset.name}: split={self.name} leaves no test clips of {len(dataset.clips)} in all; "
                f"{self._advice(dataset, ())}"
            )
        return parts

    def assign(self, dataset: Dataset) -> list[Part]:
        """The part of each clip, whatever that leaves for a class; what another rule replaces."""
        if self.name == "hash":
            return [hash_part(dataset.base, clip.name) for clip in dataset.clips]
        if self.name == "given":
            return _given(dataset)
        return self._left_out(dataset) if self.name in ("folds", "leave_one_out") else self._folded(dataset)

    def _works(self, dataset: Dataset) -> bool:
        """Whether every class has training clips and there are test clips."""
        try:
            parts = self.assign(dataset)
        except UserError:
            return False
        return "test" in parts and not _untrained(dataset, parts)

    def _advice(self, dataset: Dataset, missing: Sequence[str]) -> str:
        """What to do where this split leaves out what is needed; other splits are named only where they would do.

        Splits that ignore groups are not recommended for clips whose groups are known.
        """
        known = _groups_known(dataset)
        if self.name == "given":
            return "add clips to that part, or let another split make the parts: split=" + (
                "grouped" if known else "stratified"
            )
        others = [
            name
            for name in (("grouped", "kfold") if known else ("stratified", "kfold"))
            if name != self.name and Split(name, seed=0, folds=5, fold=0)._works(dataset)
        ]
        ways = ["add clips" + " of other groups" * (known and self.name in ("grouped", "kfold"))]
        if others:
            ways.append(f"use {' or '.join(f'split={name}' for name in others)}")
        if missing and len(dataset.classes) - len(missing) >= 2:
            ways.append(f"leave {' and '.join(missing)} out with dataset.include_classes")
        return ", or ".join(ways)

    def _left_out(self, dataset: Dataset) -> list[Part]:
        """One fold or group tests, all others train."""
        tested = self.tested_fold(dataset)
        if self.name == "leave_one_out":
            folds: Sequence[str | None] = [clip.group for clip in dataset.clips]
        elif dataset.clips[0].fold is not None:
            folds = [clip.fold for clip in dataset.clips]
        else:
            folds = [str(fold) for fold in assign_folds(*_units(dataset), folds=self.folds, seed=self.seed)]
        return ["test" if fold == tested else "train" for fold in folds]

    def _folded(self, dataset: Dataset) -> list[Part]:
        if self.name == "grouped" and not _groups_known(dataset):
            raise UserError(
                f"split=grouped: the clips of {dataset.name} have no groups; {_GROUPS_FROM}, or use split=stratified"
            )
        folds = self.folds if self.name == "kfold" else _TENTHS
        tests = int(self.fold) if self.name == "kfold" else 0
        labels, units = _units(dataset, single=self.name == "stratified")
        assigned = assign_folds(labels, units, folds=folds, seed=self.seed)
        validates = (tests + 1) % folds
        return ["test" if f == tests else "validation" if f == validates else "train" for f in assigned]


def hash_part(base: str, name: str) -> Part:
    """The paper's part of a clip: 10 % validation, 10 % test, by the SHA-1 of its name (spec: retrain protocol).

    Args:
        base: name of the base dataset, so that subsets and re-labellings keep the split.
        name: `class/file` without extension. Text from `_nohash_` on is ignored.
    """
    text = unicodedata.normalize("NFC", f"{base}/{name}").split("_nohash_", 1)[0]
    digest = int(hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest(), 16)
    percentage = digest % (_LARGEST_HASH + 1) * (100.0 / _LARGEST_HASH)
    return "validation" if percentage < 10 else "test" if percentage < 20 else "train"


def assign_folds(labels: Sequence[str], units: Sequence[str], *, folds: int, seed: int) -> Int64[np.ndarray, " clips"]:
    """Fold of each clip: no unit in two folds, every class spread as evenly as the units allow.

    Units are placed largest first, each where it leaves the classes most even (greedy; ties fall to the emptiest fold,
    then to a seeded order). It depends on names and seed only, not on the order of the clips or a library's version.
    """
    classes = {label: i for i, label in enumerate(sorted(set(labels)))}
    names = sorted(set(units))
    position = {name: i for i, name in enumerate(names)}
    counts = np.zeros((len(names), len(classes)))
    for label, unit in zip(labels, units, strict=True):
        counts[position[unit], classes[label]] += 1
    shuffled = np.array(sorted(range(len(names)), key=lambda i: _shuffle_key(names[i], seed)), dtype=np.int64)
    order = shuffled[np.argsort(-counts[shuffled].sum(axis=1), kind="stable")]
    totals = counts.sum(axis=0)
    held = np.zeros((folds, len(classes)))
    chosen = np.zeros(len(names), dtype=np.int64)
    for unit in order:
        share = counts[unit] / totals
        # Change of the sum of squared shares when the unit joins a fold; smallest is most even.
        cost = 2 * (held / totals) @ share
        best = np.flatnonzero(cost <= cost.min() + 1e-12)
        fold = best[np.argmin(held[best].sum(axis=1))]
        chosen[unit] = fold
        held[fold] += counts[unit]
    return np.array([chosen[position[unit]] for unit in units], dtype=np.int64)


def _units(dataset: Dataset, *, single: bool = False) -> tuple[list[str], list[str]]:
    """Label of each clip, and what is not to be parted: its group, or where `single` or without one, the clip.

    A base clip's name stands for the clip, so that the order of files on disk decides nothing. Files with the same
    bytes are one unit even where `single`, and so are the windows of one clip.
    """
    units = [
        clip.window_of or clip.original or clip.name if single or clip.group is None else clip.group
        for clip in dataset.clips
    ]
    return [clip.label for clip in dataset.clips], units


def _given(dataset: Dataset) -> list[Part]:
    """The dataset's own parts; a tenth of the training groups validates where it has no validation part."""
    lacking = [clip.id for clip in dataset.clips if clip.part is None]
    if lacking:
        raise UserError(
            f"{dataset.name}: split=given: {len(lacking)} of {len(dataset.clips)} clips have no part ({lacking[0]}). "
            "Parts come from a table's column (dataset.columns.part), from folders called train, valid and test "
            "(dataset=parts), or from lists of files (dataset.lists)"
        )
    parts = [clip.part for clip in dataset.clips if clip.part is not None]
    if "validation" in parts:
        return parts
    labels, units = _units(dataset)
    trains = [i for i, part in enumerate(parts) if part == "train"]
    tenths = assign_folds([labels[i] for i in trains], [units[i] for i in trains], folds=_TENTHS, seed=0)
    for i, tenth in zip(trains, tenths, strict=True):
        if tenth == 0:
            parts[i] = "validation"
    return parts


def groups_on_both_sides(clips: Sequence[Clip], parts: Sequence[Part]) -> list[str]:
    """Groups with a clip in the test part and one outside it: a leak where groups mean the same recording."""
    tested = {clip.group for clip, part in zip(clips, parts, strict=True) if part == "test"}
    other = {clip.group for clip, part in zip(clips, parts, strict=True) if part != "test"}
    return sorted(group for group in tested & other if group is not None)


def _natural(name: str) -> tuple[list[tuple[int, str]], str]:
    """Sort `fold10` behind `fold9`."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", name)], name


def _shuffle_key(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()


def _groups_known(dataset: Dataset) -> bool:
    """Whether clips have groups; duplicates are a group even where nothing else is known of groups."""
    return any(clip.group is not None and not clip.group.startswith(SAME_BYTES) for clip in dataset.clips)


def _untrained(dataset: Dataset, parts: Sequence[Part]) -> list[str]:
    """Classes without a training clip."""
    trained = {clip.label for clip, part in zip(dataset.clips, parts, strict=True) if part == "train"}
    return [label for label in dataset.classes if label not in trained]
