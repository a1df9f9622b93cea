"""The same recording more than once: the same bytes, or the same sound at another level, offset or encoding.

Two clips count as near copies where, at the best shift, they agree from moment to moment with a correlation of 0.95:
each then explains nine tenths of the other's energy. Low bit rates leave 0.95 to 0.99, while two takes of one note on
one instrument reached 0.94 at most. A copy played faster or slower, or with much added, is not found, nor an excerpt so
short that it sounds otherwise on average.

No pair of clips is compared without need: of thousands of clips only the few nearest by mean spectrum (one matrix
product) are candidates, those whose course over time differs are dropped, and only the rest are decoded again.
"""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import log10

import numpy as np
from jaxtyping import Float32, Int64

from src.data.audio import Window, decode
from src.data.clip import Clip
from src.data.split import Part
from src.prepare.audit.correlation import Match, agreement, correlate
from src.prepare.audit.fingerprint import Fingerprint, resampled
from src.prepare.audit.measurement import Measured

SIMILAR = 0.95
"""Least agreement of near copies."""

# Whole copies were among the three nearest, at up to 2.6 dB; at up to 3.8 dB where half of a note was cut off.
_NEIGHBOURS, _SPECTRUM_DB, _BLOCK = 10, 4.5, 1024
# Copies of music reached 0.8 and more, other pieces in the same style and tempo at most 0.5.
_COURSE = 0.5
# What is compared: up to 4 kHz, which every bit rate keeps, the high frequencies raised: they tell takes apart.
_RATE, _EMPHASIS = 8000, 0.9
_MOMENT = _RATE // 5


@dataclass(frozen=True)
class Copies:
    """Clips that hold the same recording.

    Attributes:
        clips: their ids. labels: class of each. parts: of the split, of each; empty where there is no split.
    """

    clips: tuple[str, ...]
    labels: tuple[str, ...]
    parts: tuple[Part, ...]

    @property
    def across_classes(self) -> bool:
        """Whether one recording has two labels."""
        return len(set(self.labels)) > 1

    @property
    def across_split(self) -> bool:
        """Whether a test clip was heard in training or validation."""
        return len({part == "test" for part in self.parts}) > 1


@dataclass(frozen=True)
class NearCopies(Copies):
    """Two clips that hold the same recording in different files.

    Attributes:
        similarity: their agreement at the best shift. lag: where the second begins within the first, in seconds.
        gain: level of the second above the first, in dB.
    """

    similarity: float
    lag: float
    gain: float


class Labelling:
    """Class and part of each clip."""

    def __init__(self, clips: Sequence[Clip], parts: Sequence[Part]) -> None:
        """`parts` is empty where there is no split."""
        self._labels = {clip.id: clip.label for clip in clips}
        self._parts = {clip.id: part for clip, part in zip(clips, parts, strict=bool(parts))}

    def copies(self, ids: Sequence[str]) -> Copies:
        """Copies with these ids."""
        parts = tuple(self._parts[i] for i in ids if i in self._parts)
        return Copies(tuple(ids), tuple(self._labels[i] for i in ids), parts)


def exact(measured: Sequence[Measured], labelling: Labelling) -> list[Copies]:
    """Clips whose files are the same byte for byte."""
    found: dict[str, list[str]] = {}
    for one in measured:
        found.setdefault(one.digest, []).append(one.clip.id)
    return [labelling.copies(ids) for ids in found.values() if len(ids) > 1]


def near(measured: Sequence[Measured], window: Window, labelling: Labelling, *, workers: int) -> list[NearCopies]:
    """Pairs of different files that hold the same recording, most alike first; of equal files only the first counts.

    Args:
        window: the clip within each file. workers: threads.
    """
    first = {one.digest: one for one in reversed(measured)}
    heard = [one for one in measured if first[one.digest] is one]
    pairs = candidates([one.fingerprint for one in heard])
    window = replace(window, sample_rate=None)
    with ThreadPoolExecutor(workers) as pool:
        needed = sorted({position for pair in pairs for position in pair})
        signals = dict(zip(needed, pool.map(lambda i: _signal(heard[i], window), needed), strict=True))
        matches = list(pool.map(lambda pair: compare(signals[pair[0]], signals[pair[1]]), pairs))
    found = []
    for (i, j), match in zip(pairs, matches, strict=True):
        if match.similarity >= SIMILAR:
            both = labelling.copies([heard[i].clip.id, heard[j].clip.id])
            lag, gain = match.lag / _RATE, 20 * log10(match.gain)
            found.append(NearCopies(both.clips, both.labels, both.parts, match.similarity, lag, gain))
    return sorted(found, key=lambda copies: (-round(copies.similarity, 3), copies.clips))


def recordings(found: Sequence[Copies], labelling: Labelling) -> list[Copies]:
    """Copies of copies taken together: each recording that occurs more than once, with all clips that hold it."""
    leader: dict[str, str] = {}

    def lead(clip: str) -> str:
        while leader.setdefault(clip, clip) != clip:
            clip = leader[clip]
        return clip

    for copies in found:
        for other in copies.clips[1:]:
            one, two = sorted((lead(copies.clips[0]), lead(other)))
            leader[two] = one
    members: dict[str, list[str]] = {}
    for clip in sorted(leader):
        members.setdefault(lead(clip), []).append(clip)
    return [labelling.copies(ids) for ids in members.values()]


def candidates(fingerprints: Sequence[Fingerprint]) -> list[tuple[int, int]]:
    """Pairs of positions, in order, that may be near copies."""
    if len(fingerprints) < 2:
        return []
    spectra = np.stack([one.spectrum for one in fingerprints])
    return [(i, j) for i, j in _neighbours(spectra) if _same_course(fingerprints[i].course, fingerprints[j].course)]


def _neighbours(spectra: Float32[np.ndarray, "clips bands"]) -> list[tuple[int, int]]:
    """Pairs of which one is among the other's nearest by mean spectrum, and not far."""
    count = min(_NEIGHBOURS + 1, len(spectra))  # the nearest is the clip itself
    squares = np.square(spectra).sum(axis=1)
    pairs = set()
    for start in range(0, len(spectra), _BLOCK):
        block = spectra[start : start + _BLOCK]
        distance = squares[start : start + _BLOCK, None] + squares - 2 * block @ spectra.T
        nearest: Int64[np.ndarray, "block neighbours"] = np.argpartition(distance, count - 1, axis=1)[:, :count]
        for row, others in enumerate(nearest):
            close = others[distance[row, others] <= spectra.shape[1] * _SPECTRUM_DB**2]
            pairs |= {(min(start + row, int(j)), max(start + row, int(j))) for j in close if j != start + row}
    return sorted(pairs)


def _same_course(one: Float32[np.ndarray, "ranges frames"], other: Float32[np.ndarray, "ranges others"]) -> bool:
    """Whether the ups and downs of two clips agree at some shift; of a steady sound, its two ends."""
    one, other = (course - course.mean(axis=1, keepdims=True) for course in (one, other))
    return correlate(one, other).similarity >= _COURSE


def compare(one: Float32[np.ndarray, "1 samples"], other: Float32[np.ndarray, "1 others"]) -> Match:
    """The best match of two signals, its similarity being their agreement from moment to moment."""
    match = correlate(one, other)
    if match.similarity < SIMILAR - 0.05:  # no agreement makes up for that
        return match
    return replace(match, similarity=agreement(one, other, match.lag, _MOMENT))


def _signal(one: Measured, window: Window) -> Float32[np.ndarray, "1 samples"]:
    """What is compared of a clip: one channel, the high frequencies raised."""
    samples = resampled(decode(one.clip.path, window)[0], _RATE)
    samples[1:] -= np.float32(_EMPHASIS) * samples[:-1]
    return samples[None]
