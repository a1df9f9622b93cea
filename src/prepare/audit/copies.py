"""The same recording more than once: the same bytes, or the same sound at another level, offset or encoding.

Two clips count as near copies where, at the best shift, they agree from moment to moment with a correlation of 0.95:
each then explains nine tenths of the other's energy. Low bit rates leave 0.95 to 0.99, while two takes of one note on
one instrument reached 0.94 at most. A copy played faster or slower, or with much added, is not found, nor an excerpt so
short that it sounds otherwise on average.

No pair of clips is compared without need: of thousands of clips only the few nearest by mean spectrum (one matrix
product) are candidates, those whose course over time differs are dropped, and only the rest are decoded again.
"""

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from math import log10

import numpy as np
from jaxtyping import Float32, Float64, Int64

from src.data.audio import Window, decode
from src.data.clip import Clip
from src.data.parts import Part
from src.prepare.audit.fingerprint import Fingerprint, resampled
from src.prepare.audit.measurement import Measured

# What two signals have in common must be at least this part of the shorter one, in length and in energy.
LEAST_COMMON = 0.4
# Passages of the longer signal quieter than this part of its energy are left alone: there, rounding is all there is.
_AUDIBLE = 1e-6
# Shifts are tried in quarters of a sample: whole ones can miss a bright sound's best by half its height.
_FINE = 4


@dataclass(frozen=True)
class Match:
    """How well two signals agree at their best shift.

    Attributes:
        similarity: magnitude of the correlation coefficient over what they have in common, 0..1; its square is the
            part of the energy of either that the other explains. 0 where they have too little in common.
        lag: where the second begins within the first, in samples (negative: before it).
        gain: amplitude of the second relative to the first.
    """

    similarity: float
    lag: float
    gain: float

    def reversed(self) -> "Match":
        """The match with the two signals swapped."""
        return replace(self, lag=-self.lag, gain=1 / self.gain if self.gain else 0.0)


def correlate(first: Float32[np.ndarray, "channels samples"], second: Float32[np.ndarray, "channels others"]) -> Match:
    """Best match over all shifts, to a quarter of a sample; an inverted signal is as good as its original.

    The correlation is normalised by the energy of both within what they have in common, so that neither level nor
    what only one of them holds matters.
    """
    if second.shape[1] > first.shape[1]:
        return correlate(second, first).reversed()
    samples, others = first.shape[1], second.shape[1]
    least = math.ceil(LEAST_COMMON * others)
    lags = range(least - others, samples - least + 1)
    size = 1 << (samples + others - 2).bit_length()  # room for every shift without wrapping round
    spectrum = (np.fft.rfft(first, size) * np.fft.rfft(second, size).conj()).sum(axis=0)
    spectrum[-1] /= 2  # the highest frequency stands for itself and its mirror image, which a finer grid tells apart
    products = np.fft.irfft(spectrum, _FINE * size) * np.float32(_FINE)
    products = np.concatenate([products[_FINE * (size + lags[0]) :], products[: _FINE * (lags[-1] + 1)]])
    heard = _energy(first, others, lags[0], lags[-1])
    energy = _energy(second, samples, -lags[-1], -lags[0])[::-1]
    common = (energy >= LEAST_COMMON * energy.max()) & (heard > _AUDIBLE * heard.max()) & (energy > 0)
    if not common.any():
        return Match(0.0, 0.0, 0.0)
    scale = np.sqrt(np.where(common, heard * energy, np.inf)).astype(np.float32)
    score = np.abs(products).reshape(len(lags), _FINE) / scale[:, None]
    best = int(np.argmax(score))
    lag, product = lags[0] + best / _FINE, abs(float(products[best]))
    return Match(min(1.0, float(score.flat[best])), lag, product / float(heard[best // _FINE]))


def _energy(
    signal: Float32[np.ndarray, "channels _"], length: int, first: int, last: int
) -> Float64[np.ndarray, " starts"]:
    """Energy of the stretch of `length` samples from each of the starts `first` to `last`, silence lying around."""
    total = np.cumsum(np.square(signal, dtype=np.float64).sum(axis=0))
    before = np.pad(np.concatenate([[0.0], total]), length, mode="edge")
    stretch: Float64[np.ndarray, " starts"] = (
        before[first + 2 * length : last + 2 * length + 1] - before[first + length : last + length + 1]
    )
    return stretch


def agreement(
    first: Float32[np.ndarray, "channels samples"],
    second: Float32[np.ndarray, "channels others"],
    lag: float,
    stretch: int,
) -> float:
    """Mean correlation coefficient of stretches at one shift, each weighted by its amplitude; its magnitude, 0..1.

    A copy agrees throughout; two takes that agree where they are loudest drift apart elsewhere.

    Args:
        lag: as of `Match`. stretch: in samples; what is left over at the end is not looked at, unless it is all.
    """
    whole = math.floor(lag)
    moved = _earlier(first, lag - whole)
    start, stop = max(whole, 0), min(whole + second.shape[1], first.shape[1])
    count = max(1, (stop - start) // stretch)
    length = min(stretch, stop - start) * count
    one, other = (
        signal[:, begin : begin + length].astype(np.float64).reshape(len(signal), count, -1)
        for signal, begin in ((moved, start), (second, start - whole))
    )
    product, weight = (one * other).sum(axis=(0, 2)), np.sqrt((one**2).sum(axis=(0, 2)) * (other**2).sum(axis=(0, 2)))
    amplitude = np.sqrt(weight)
    coefficients = np.divide(product, weight, out=np.zeros(count), where=weight > 0)
    return abs(float((amplitude * coefficients).sum() / amplitude.sum())) if amplitude.any() else 0.0


def _earlier(
    signal: Float32[np.ndarray, "channels samples"], fraction: float
) -> Float32[np.ndarray, "channels samples"]:
    """The signal begun a fraction of a sample later, so that what it holds comes earlier."""
    size = 1 << (signal.shape[1] + 64).bit_length()
    turn = np.exp(2j * np.pi * fraction * np.fft.rfftfreq(size)).astype(np.complex64)
    moved: Float32[np.ndarray, "channels samples"] = np.fft.irfft(np.fft.rfft(signal, size) * turn, size)
    return moved[:, : signal.shape[1]].astype(np.float32)


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
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    clips = sorted({clip for copies in found for clip in copies.clips})
    position = {clip: i for i, clip in enumerate(clips)}
    pairs = [(position[copies.clips[0]], position[other]) for copies in found for other in copies.clips[1:]]
    if not pairs:
        return []
    rows, columns = zip(*pairs, strict=True)
    links = coo_array((np.ones(len(pairs)), (rows, columns)), shape=(len(clips), len(clips)))
    members: dict[int, list[str]] = {}
    for clip, component in zip(clips, connected_components(links, directed=False)[1], strict=True):
        members.setdefault(int(component), []).append(clip)
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
    samples = resampled(decode(one.clip.path, one.clip.cut(window))[0], _RATE)
    samples[1:] -= np.float32(_EMPHASIS) * samples[:-1]
    return samples[None]
