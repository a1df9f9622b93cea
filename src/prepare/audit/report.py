"""What an audit found, for people (text, figure) and programs (JSON)."""

import math
from collections import Counter
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from src.features.render_stats import CONSEQUENCES
from src.prepare.audit.census import ClassCensus
from src.prepare.audit.copies import Copies, NearCopies
from src.prepare.audit.probes import Probe


@dataclass(frozen=True)
class Report:
    """One dataset under one split.

    Attributes:
        dataset, origin, provenance, notes: as `Dataset` has them.
        window: the clip within each file. split: what determines the parts.
        split_problem: why there are no parts, where there are none; then nothing is said of the split.
        classes: a census of each class with usable clips.
        unreadable: message of each unusable file by clip id.
        exact: files that are the same byte for byte. near: pairs of files with the same sound.
        recordings: both taken together, one entry for each recording that occurs more than once.
        groups_on_both_sides: groups of clips with members inside and outside of the test part.
        probes: what loudness, length and file format alone predict; empty where the split leaves nothing to test.
    """

    dataset: str
    origin: str
    provenance: str
    notes: tuple[str, ...]
    window: dict[str, float | None]
    split: dict[str, str | int]
    split_problem: str | None
    classes: tuple[ClassCensus, ...]
    unreadable: dict[str, str]
    exact: tuple[Copies, ...]
    near: tuple[NearCopies, ...]
    recordings: tuple[Copies, ...]
    groups_on_both_sides: tuple[str, ...]
    probes: tuple[Probe, ...]

    @property
    def leaked(self) -> tuple[str, ...]:
        """Test clips of which training or validation holds a copy."""
        across = [copies for copies in self.recordings if copies.across_split]
        return tuple(sorted(c for r in across for c, part in zip(r.clips, r.parts, strict=True) if part == "test"))

    def warnings(self) -> list[str]:
        """What a reader of results on this dataset must know, a line each; empty where nothing was found."""
        labelled = sum(copies.across_classes for copies in self.recordings)
        rendered = sum((Counter(one.rendered) for one in self.classes), Counter())
        silent = max(sum(one.silent for one in self.classes), rendered.pop("silent", 0))
        tested = sum(one.parts.get("test", 0) for one in self.classes)
        untested = [] if self.split_problem else [one.label for one in self.classes if "test" not in one.parts]
        found = [
            (self.split_problem is not None, f"no split: {self.split_problem}"),
            (bool(self.unreadable), f"{len(self.unreadable)} files cannot be used"),
            (silent > 0, f"{silent} clips are silent"),
            *((True, f"{rendered[kind]} clips are {CONSEQUENCES[kind]}") for kind in CONSEQUENCES if rendered[kind]),
            (bool(untested), f"no test clips of {', '.join(untested)}: nothing can be said of them"),
            (labelled > 0, f"{labelled} recordings occur under more than one class"),
            (bool(self.leaked), f"{len(self.leaked)} of {tested} test clips have a copy outside the test part"),
            (
                bool(self.groups_on_both_sides),
                f"{len(self.groups_on_both_sides)} groups lie on both sides of the split, which flatters the accuracy; "
                "split=grouped parts them",
            ),
        ]
        lines = [line for holds, line in found if holds]
        lines += [
            f"{probe.name}: a classifier that hears nothing gets {probe.accuracy:.1%} of {probe.clips} test clips, "
            f"the best constant answer {probe.chance:.1%}"
            for probe in self.probes
            if probe.warns
        ]
        return lines

    def to_json(self) -> dict[str, Any]:
        """Everything, as JSON takes it; what is not a number is null."""
        content = asdict(self)
        content["probes"] = [
            {**asdict(probe), "accuracy": probe.accuracy, "warning": probe.warns} for probe in self.probes
        ]
        for kind in ("exact", "near", "recordings"):
            content[kind] = [
                {**asdict(c), "across_classes": c.across_classes, "across_split": c.across_split}
                for c in getattr(self, kind)
            ]
        content |= {"leaked": self.leaked, "warnings": self.warnings()}
        plain: dict[str, Any] = _plain(content)
        return plain

    def to_text(self) -> str:
        """Tables for a terminal."""
        from src.prepare.audit.text import text

        return text(self)

    def draw(self, path: Path) -> None:
        """A picture of loudness and probes."""
        from src.prepare.audit.figure import draw

        draw(self, path)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
