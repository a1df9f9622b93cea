"""What each class holds: how many clips, how long, in which formats, how loud."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from src.data.audio import AudioStats, Window
from src.data.clip import Dataset
from src.data.parts import Part
from src.prepare.audit.measurement import Measured

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
# A clip normalised to full scale touches it in a few samples; clipping holds it there.
_CLIPPED = 1e-4


@dataclass(frozen=True)
class Spread:
    """How a quantity is distributed over the clips of a class.

    Attributes:
        mean: their mean. std: standard deviation (n - 1), nan for a single clip. least, most: extremes.
        quantiles: at 5, 25, 50, 75 and 95 %.
    """

    mean: float
    std: float
    least: float
    most: float
    quantiles: tuple[float, ...]

    @staticmethod
    def of(values: Sequence[float]) -> "Spread":
        """Spread of some values, at least one."""
        v = np.array(values)
        std = float(v.std(ddof=1)) if len(v) > 1 else float("nan")
        quantiles = tuple(float(q) for q in np.quantile(v, QUANTILES))
        return Spread(float(v.mean()), std, float(v.min()), float(v.max()), quantiles)


@dataclass(frozen=True)
class ClassCensus:
    """One class. Amplitudes are relative to full scale; whatever needs samples leaves unreadable files out.

    Attributes:
        clips: files, unreadable ones included. parts: usable clips in each part of the split.
        duration: of the clips in seconds. total: seconds in all. short: clips shorter than the window.
        sample_rates, channels, codecs: how many clips have each, the most frequent first.
        bit_rate: kbit/s of the files.
        rms: loudness as recorded (the paper's table 4). rms_normalized: after division by the clip's peak.
        peak: largest magnitude.
        silent: clips without any sound. quiet: mean share of the time more than 60 dB below a clip's loudest moment.
        clipped: clips with more than one sample in 10000 at full scale.
        rendered: how many clips have each warning of `RenderStats`, e.g. `black`; empty where nothing was drawn.
    """

    label: str
    clips: int
    unreadable: int
    parts: dict[str, int]
    duration: Spread
    total: float
    short: int
    sample_rates: dict[int, int]
    channels: dict[int, int]
    codecs: dict[str, int]
    bit_rate: Spread
    rms: Spread
    rms_normalized: Spread
    peak: Spread
    silent: int
    quiet: float
    clipped: int
    rendered: dict[str, int]


def normalized_rms(facts: AudioStats) -> float:
    """RMS that the clip has once its peak is at full scale; silence stays silence."""
    return facts.rms / facts.peak if facts.peak > 0 else 0.0


def census(
    dataset: Dataset, measured: Sequence[Measured], parts: Sequence[Part], window: Window
) -> tuple[ClassCensus, ...]:
    """Each class with a usable clip, in the dataset's order.

    Args:
        measured: the usable clips. parts: part of each; empty where there is no split.
    """
    files = Counter(clip.label for clip in dataset.clips)
    part = {one.clip.id: p for one, p in zip(measured, parts, strict=bool(parts))}
    found = []
    for label in dataset.classes:
        members = [one for one in measured if one.clip.label == label]
        if members:
            found.append(_class(label, files[label], members, part, window))
    return tuple(found)


def _class(
    label: str, files: int, members: Sequence[Measured], part: Mapping[str, Part], window: Window
) -> ClassCensus:
    def spread(value: Callable[[AudioStats], float]) -> Spread:
        return Spread.of([value(one.facts) for one in members])

    return ClassCensus(
        label=label,
        clips=files,
        unreadable=files - len(members),
        parts=dict(Counter(str(part[one.clip.id]) for one in members if one.clip.id in part)),
        duration=spread(lambda facts: facts.duration),
        total=sum(one.facts.duration for one in members),
        short=sum("short" in one.facts.warnings(window) for one in members),
        sample_rates=dict(Counter(one.facts.sample_rate for one in members).most_common()),
        channels=dict(Counter(one.facts.channels for one in members).most_common()),
        codecs=dict(Counter(one.facts.codec for one in members).most_common()),
        bit_rate=Spread.of([one.bit_rate for one in members]),
        rms=spread(lambda facts: facts.rms),
        rms_normalized=spread(normalized_rms),
        peak=spread(lambda facts: facts.peak),
        silent=sum(one.facts.peak == 0 for one in members),
        quiet=float(np.mean([one.fingerprint.quiet for one in members])),
        clipped=sum(one.facts.clipped > _CLIPPED for one in members),
        rendered=dict(Counter(kind for one in members if one.rendered for kind in one.rendered.warnings())),
    )
