"""An audit's report as tables for a terminal."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from src.evaluation.text_table import points, span, text_table
from src.features.render_stats import CONSEQUENCES
from src.prepare.audit.census import Spread
from src.prepare.audit.copies import Copies, NearCopies

if TYPE_CHECKING:
    from src.prepare.audit.report import Report

_SHOWN = 10

C = TypeVar("C", bound=Copies)


def text(report: "Report") -> str:
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
        _listed("Groups on both sides of the split", report.groups_on_both_sides),
        _listed("Files that cannot be used", list(report.unreadable.values())),
        _listed("Notes", report.notes),
    ]
    return "\n\n".join(section for section in sections if section)


def _clips(report: "Report") -> str:
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


def _files(report: "Report") -> str:
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


def _loudness(report: "Report") -> str:
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


def _images(report: "Report") -> str:
    kinds = [kind for kind in CONSEQUENCES if any(kind in one.rendered for one in report.classes)]
    if not kinds:
        return ""
    rows = [[one.label, *(str(one.rendered.get(kind, 0)) for kind in kinds)] for one in report.classes]
    return "Images: clips of which too little is drawn\n" + text_table(["class", *kinds], rows)


def _probes(report: "Report") -> str:
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


def _copies(report: "Report") -> str:
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
