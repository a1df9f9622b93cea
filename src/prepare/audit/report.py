"""What an audit found, as a table for people and as JSON for programs."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from src.evaluation.text_table import points, span, text_table
from src.features.render_stats import CONSEQUENCES
from src.prepare.audit.census import ClassCensus, Spread
from src.prepare.audit.copies import Copies, NearCopies
from src.prepare.audit.probes import Probe
from src.prepare.audit.suspects import Suspect

_SHOWN = 10

C = TypeVar("C", bound=Copies)


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
        suspects: clips whose labels are least probable by their sound.
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
    suspects: tuple[Suspect, ...] = ()

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


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def as_text(report: Report) -> str:
    """What a person reads: findings first, then what they rest on."""
    warnings = report.warnings()
    clips = sum(one.clips for one in report.classes)
    split = ", ".join(f"{key} {value}" for key, value in report.split.items() if key != "name")
    sections = [
        f"{report.dataset}: {clips} clips in {len(report.classes)} classes ({report.origin}), "
        f"split {report.split['name']}{' (' + split + ')' if split else ''}",
        "\n".join(["Findings", *(f"  {line}" for line in warnings or ["none"])]),
        "Clips\n" + _clips(report),
        "Files\n" + _files(report),
        "Loudness: RMS, mean and standard deviation over clips, full scale 1\n" + _loudness(report),
        _images(report),
        _probes(report),
        _copies(report),
        _listed(
            "Labels to look at: clips that sound like another class",
            [f"{one.clip}: rather {one.likely} (loss {one.loss:.1f})" for one in report.suspects],
        ),
        _listed("Groups on both sides of the split", report.groups_on_both_sides),
        _listed("Files that cannot be used", list(report.unreadable.values())),
        _listed("Notes", report.notes),
    ]
    return "\n\n".join(section for section in sections if section)


def _clips(report: Report) -> str:
    rows = []
    for one in report.classes:
        parts = [str(one.parts.get(part, 0)) for part in ("train", "validation", "test")]
        length = one.duration
        seconds = f"{length.quantiles[2]:.2f} ({length.least:.2f} to {length.most:.2f})"
        rows.append([one.label, str(one.clips), *parts, str(one.unreadable), seconds, f"{one.total / 60:.1f}"])
    header = ["class", "files", "train", "valid.", "test", "unusable", "seconds, median (range)", "minutes"]
    if any(one.short for one in report.classes):
        header.append("short")
        rows = [[*row, str(one.short)] for row, one in zip(rows, report.classes, strict=True)]
    return text_table(header, rows)


def _files(report: Report) -> str:
    rows = [
        [
            one.label,
            _counts(one.codecs),
            _counts(one.sample_rates),
            _counts(one.channels),
            f"{one.bit_rate.quantiles[2]:.0f} ({one.bit_rate.least:.0f} to {one.bit_rate.most:.0f})",
        ]
        for one in report.classes
    ]
    return text_table(["class", "codec", "sample rate, Hz", "channels", "kbit/s, median (range)"], rows)


def _loudness(report: Report) -> str:
    rows = [
        [
            one.label,
            _level(one.rms),
            _level(one.rms_normalized),
            f"{one.peak.quantiles[2]:.3f} ({one.peak.least:.3f} to {one.peak.most:.3f})",
            str(one.silent),
            f"{one.quiet:.0%}",
            str(one.clipped),
        ]
        for one in report.classes
    ]
    header = ["class", "unprocessed", "normalized", "peak, median (range)", "silent", "quiet time", "clipped"]
    return text_table(header, rows)


def _images(report: Report) -> str:
    kinds = [kind for kind in CONSEQUENCES if any(kind in one.rendered for one in report.classes)]
    if not kinds:
        return ""
    rows = [[one.label, *(str(one.rendered.get(kind, 0)) for kind in kinds)] for one in report.classes]
    return "Images: clips of which too little is drawn\n" + text_table(["class", *kinds], rows)


def _probes(report: Report) -> str:
    title = "Confounds: what a random forest predicts without hearing anything"
    if not report.probes:
        return f"{title}\nnot available: no test clips, or training clips of one class only"
    rows = [
        [
            probe.name,
            points(probe.accuracy),
            span(probe.interval),
            points(probe.chance),
            "above chance" if probe.warns else "",
        ]
        for probe in report.probes
    ]
    return f"{title}\n" + text_table(["knows", "accuracy %", "95 % interval", "chance %", "warning"], rows)


def _copies(report: Report) -> str:
    if not report.recordings:
        return "Copies: none"
    clips = sum(len(copies.clips) for copies in report.recordings)
    lines = [f"Copies: {len(report.recordings)} recordings occur in {clips} clips"]
    lines += _shown([f"same bytes: {' = '.join(copies.clips)}{_across(copies)}" for copies in _worst(report.exact)])
    lines += _shown([_near(copies) for copies in _worst(report.near)])
    return "\n".join(lines)


def _near(copies: NearCopies) -> str:
    return (
        f"same sound: {copies.clips[0]} ~ {copies.clips[1]} (similarity {copies.similarity:.3f}, "
        f"{copies.gain:+.1f} dB, {copies.lag:+.3f} s){_across(copies)}"
    )


def _worst(found: Sequence[C]) -> list[C]:
    return sorted(found, key=lambda copies: not (copies.across_classes or copies.across_split))


def _across(copies: Copies) -> str:
    return ", across classes" * copies.across_classes + ", across the split" * copies.across_split


def _listed(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"{title}: {len(lines)}", *_shown(lines)]) if lines else ""


def _shown(lines: Sequence[str]) -> list[str]:
    more = len(lines) - _SHOWN
    return [f"  {line}" for line in lines[:_SHOWN]] + [f"  and {more} more"] * (more > 0)


def _counts(counts: Mapping[str, int] | Mapping[int, int]) -> str:
    if len(counts) == 1:
        return str(next(iter(counts)))
    return ", ".join(f"{value} ({count})" for value, count in counts.items())


def _level(spread: Spread) -> str:
    return f"{spread.mean:.3f} ± {spread.std:.3f}"
