"""A clip in two thousand numbers, alike for copies at another level, offset or encoding.

Two views of the band energies: their mean over time finds the few clips that may be copies among thousands, and their
course over time tells most of the others apart without decoding them again.
"""

from dataclasses import dataclass
from math import gcd

import numpy as np
from jaxtyping import Float32, Float64

from src.data.waveform import Waveform

VERSION = 1
"""Raised by whoever changes a number below; older fingerprints are then never read."""

RATE = 8000
_FRAME, _HOP = 1024, 512
# Telephone band: every codec and rate from 8 kHz on keeps it. Twelve bands an octave tell neighbouring notes apart.
_BANDS = np.geomspace(60, 3600, 71)
_RANGES = np.array([60.0, 300.0, 800.0, 1800.0, 3600.0])
# Below these depths (dB under the strongest) a low bit rate's noise shows more than the sound does.
_DEPTH, _COURSE_DEPTH, _QUIET = 25.0, 50.0, 60.0
_MOST_FRAMES = 512


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What is remembered of a clip's sound.

    Attributes:
        quiet: share of the time more than 60 dB below the loudest moment, 0..1; exactly 1 for digital silence.
        spectrum: mean power in 70 bands from 60 to 3600 Hz, dB below the strongest band, 25 dB deep.
        course: power in 4 ranges every 64 ms, dB below the strongest, 50 dB deep, of the first 33 s.
    """

    quiet: float
    spectrum: Float32[np.ndarray, " bands"]
    course: Float32[np.ndarray, "ranges frames"]

    def row(self) -> Float32[np.ndarray, " numbers"]:
        """The same as one row of a fixed length, as the cache keeps it."""
        frames = self.course.shape[1]
        padded = np.zeros((len(_RANGES) - 1, _MOST_FRAMES), np.float32)
        padded[:, :frames] = self.course
        return np.concatenate([np.array([frames, self.quiet], np.float32), self.spectrum, padded.ravel()])

    @staticmethod
    def from_row(row: Float32[np.ndarray, " numbers"]) -> "Fingerprint":
        """The fingerprint that `row` gave."""
        bands = len(_BANDS) - 1
        course = row[2 + bands :].reshape(len(_RANGES) - 1, _MOST_FRAMES)
        return Fingerprint(float(row[1]), row[2 : 2 + bands], course[:, : int(row[0])])


def fingerprint(waveform: Waveform) -> Fingerprint:
    """Fingerprint of one clip, of the mean of its channels."""
    samples = resampled(waveform, RATE)
    padded = np.pad(samples, (_FRAME // 2, _FRAME // 2 + max(0, _FRAME - len(samples))))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _FRAME)[::_HOP]
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(_FRAME).astype(np.float32))), dtype=np.float64)
    loud = power.sum(axis=1)
    if loud.max() == 0:
        return Fingerprint(1.0, np.zeros(len(_BANDS) - 1, np.float32), np.zeros((len(_RANGES) - 1, 1), np.float32))
    return Fingerprint(
        quiet=float(np.mean(loud < loud.max() * 10 ** (-_QUIET / 10))),
        spectrum=_decibels(_within(power.mean(axis=0, keepdims=True), _BANDS)[0], _DEPTH),
        course=_decibels(_within(power[:_MOST_FRAMES], _RANGES).T, _COURSE_DEPTH),
    )


def resampled(waveform: Waveform, rate: int) -> Float32[np.ndarray, " samples"]:
    """The mean of the channels at another rate in Hz, without what lies above 95 % of half that rate.

    By way of the spectrum: exact for any two rates, and free of aliases, which would not shift with the sound.
    """
    from scipy.fft import irfft, next_fast_len, rfft

    samples, common = waveform.mono("mean"), gcd(waveform.sample_rate, rate)
    # Whole steps take a whole number of samples at either rate.
    steps = next_fast_len(-(-len(samples) // (waveform.sample_rate // common)))
    spectrum = rfft(samples, steps * (waveform.sample_rate // common))
    top = len(spectrum) * rate / waveform.sample_rate
    slope = np.clip((0.95 - np.arange(len(spectrum)) / top) / 0.1, 0, 1)
    spectrum *= (slope**2 * (3 - 2 * slope)).astype(np.float32)
    scaled: Float32[np.ndarray, " samples"] = irfft(spectrum, steps * (rate // common))
    scaled *= np.float32(rate / waveform.sample_rate)
    return scaled[: -(-len(samples) * rate // waveform.sample_rate)]


def _within(
    power: Float64[np.ndarray, "frames bins"], edges: Float64[np.ndarray, " edges"]
) -> Float64[np.ndarray, "frames bands"]:
    """Power between neighbouring edges in Hz; a bin's power is spread evenly over its width."""
    spacing = RATE / _FRAME
    below = np.concatenate([np.zeros((len(power), 1)), np.cumsum(power, axis=1)], axis=1)
    place = edges / spacing + 0.5  # bin k reaches from k - 1/2 to k + 1/2 spacings
    whole = place.astype(int)
    part = place - whole
    return np.diff(below[:, whole] * (1 - part) + below[:, whole + 1] * part, axis=1)


def _decibels(power: Float64[np.ndarray, "*shape"], depth: float) -> Float32[np.ndarray, "*shape"]:
    """Decibels below the strongest, `depth` deep."""
    relative = power / max(float(power.max()), np.finfo(np.float64).tiny)
    below: Float32[np.ndarray, "*shape"] = np.maximum(10 * np.log10(np.maximum(relative, 1e-12)), -depth).astype(
        np.float32
    )
    return below
