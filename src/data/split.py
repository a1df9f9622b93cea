"""Which clips train, validate and test. Every rule depends on the clips alone, never on the condition or the seed."""

import hashlib
import unicodedata
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Int64

from src.data.clip import Clip, Dataset
from src.data.duplicates import SAME_BYTES
from src.errors import UserError

Part = Literal["train", "validation", "test"]
RULES = ("hash", "stratified", "grouped", "kfold")
_LARGEST_HASH = 2**27 - 1
_TENTHS = 10


@dataclass(frozen=True)
class Split:
    """A rule that gives each clip its part.

    Attributes:
        name: `hash` (the paper's), `stratified`, `grouped` or `kfold`.
        seed: of the shuffling; `hash` has none.
        folds, fold: of `kfold`: how many, and which one tests (the next one validates).
    """

    name: str
    seed: int
    folds: int
    fold: int

    def __post_init__(self) -> None:
        if self.name not in RULES:
            raise UserError(f"split.name: got {self.name!r}; expected one of {', '.join(RULES)}")
        if self.name == "kfold" and not (self.folds >= 3 and 0 <= self.fold < self.folds):
            raise UserError(
                f"split.folds={self.folds} split.fold={self.fold}: expected at least 3 folds (one tests, one "
                "validates, the rest train) and a fold from 0 to folds - 1"
            )

    def key(self) -> dict[str, str | int]:
        """What determines the parts, besides the clips: settings that this rule does not read are left out."""
        if self.name == "hash":
            return {"name": self.name}
        if self.name == "kfold":
            return {"name": self.name, "seed": self.seed, "folds": self.folds, "fold": self.fold}
        return {"name": self.name, "seed": self.seed}

    def key_for(self, base: str) -> dict[str, str | int]:
        """As `key`, with the name of the base dataset where the rule reads it."""
        return {**self.key(), "base": base} if self.name == "hash" else self.key()

    def parts(self, dataset: Dataset) -> list[Part]:
        """The part of each clip, in the dataset's order.

        Raises:
            UserError: `grouped` without known groups, a class left without training clips.
        """
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
        return self._folded(dataset)

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

    def _folded(self, dataset: Dataset) -> list[Part]:
        if self.name == "grouped" and not _groups_known(dataset):
            raise UserError(
                f"split=grouped: the clips of {dataset.name} have no groups; set dataset.group_pattern to a regular "
                "expression whose first group names the recording (matched on class/file), or use split=stratified"
            )
        # A base clip's name stands for the clip, so that the order of files on disk decides nothing.
        # Files with the same bytes are one unit, for `stratified` as well.
        single = self.name == "stratified"
        units = [clip.original or clip.name if single or clip.group is None else clip.group for clip in dataset.clips]
        folds = self.folds if self.name == "kfold" else _TENTHS
        tests = self.fold if self.name == "kfold" else 0
        assigned = assign_folds([clip.label for clip in dataset.clips], units, folds=folds, seed=self.seed)
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


def groups_on_both_sides(clips: Sequence[Clip], parts: Sequence[Part]) -> list[str]:
    """Groups with a clip in the test part and one outside it: a leak where groups mean the same recording."""
    tested = {clip.group for clip, part in zip(clips, parts, strict=True) if part == "test"}
    other = {clip.group for clip, part in zip(clips, parts, strict=True) if part != "test"}
    return sorted(group for group in tested & other if group is not None)


def _shuffle_key(name: str, seed: int) -> str:
    return hashlib.sha256(f"{seed}/{name}".encode()).hexdigest()


def _groups_known(dataset: Dataset) -> bool:
    """Whether clips have groups; duplicates are a group even where nothing else is known of groups."""
    return any(clip.group is not None and not clip.group.startswith(SAME_BYTES) for clip in dataset.clips)


def _untrained(dataset: Dataset, parts: Sequence[Part]) -> list[str]:
    """Classes without a training clip."""
    trained = {clip.label for clip, part in zip(dataset.clips, parts, strict=True) if part == "train"}
    return [label for label in dataset.classes if label not in trained]
