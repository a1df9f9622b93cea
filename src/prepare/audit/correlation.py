"""The shift at which two signals agree best, however loud each is."""

import math
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float32, Float64

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
