"""What the parts of an official split are called, in columns and in folders."""

import re
from collections.abc import Iterable
from typing import Literal

Part = Literal["train", "validation", "test"]

_NAMES: dict[Part, tuple[str, ...]] = {
    "train": ("train", "training", "train_set", "trainset"),
    "validation": ("validation", "valid", "val", "validate", "dev", "development"),
    "test": ("test", "testing", "test_set", "testset", "eval", "evaluation"),
}
_FOLD = re.compile(r"fold[_ -]?(\d+)", re.IGNORECASE)


def part_of(names: Iterable[str]) -> dict[str, Part | None]:
    """The part that each name stands for; None: it is none.

    `dev` is the validation part, but where nothing else is called train it is that.
    """
    known = {alias: part for part, aliases in _NAMES.items() for alias in aliases}
    found: dict[str, Part | None] = {name: known.get(name.strip().casefold()) for name in names}
    if "train" not in found.values():
        return {name: "train" if name.casefold().startswith("dev") else part for name, part in found.items()}
    return found


def fold_of(name: str) -> str | None:
    """The number of a fold that a folder's name says, as in `fold3`; None: it says none."""
    match = _FOLD.fullmatch(name.strip())
    return None if match is None else match[1]


def are_parts(names: Iterable[str]) -> bool:
    """Whether folders of these names are all parts or folds, and not classes."""
    listed = list(names)
    return len(listed) > 1 and all(fold_of(name) or part_of([*listed])[name] for name in listed)
