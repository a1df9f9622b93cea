"""A synthetic singing voice: pulses of a glottis through the resonances of a vocal tract.

Sampled solo voices are not to be had, so the voice is computed by the source-filter model (Fant, "Acoustic theory of
speech production", 1960): Rosenberg's glottal pulse (JASA 49, 1971) with vibrato and breath, and a cascade of
resonators (Klatt, JASA 67, 1980) at the mean formants of 33 men and 28 women (Peterson and Barney, JASA 24, 1952).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Float32
from scipy import signal

from src.data.render.sampler import REFERENCE_LEVEL, Note

Samples = Float32[np.ndarray, " samples"]
Track = Float[np.ndarray, " samples"]


class Tract(NamedTuple):
    """One sex's voice.

    Attributes:
        vowels: first three formants of the vowels of heed, head, hod, hawed and who'd, in Hz.
        fourth: the fourth formant, in Hz.
        open_quotient: part of the period in which the glottis is open.
        breath: amplitude of noise against the pulses.
    """

    vowels: tuple[tuple[float, float, float], ...]
    fourth: float
    open_quotient: float
    breath: float


TRACTS = {
    "male": Tract(
        (
            (270.0, 2290.0, 3010.0),
            (530.0, 1840.0, 2480.0),
            (730.0, 1090.0, 2440.0),
            (570.0, 840.0, 2410.0),
            (300.0, 870.0, 2240.0),
        ),
        3500.0,
        0.6,
        0.01,
    ),
    "female": Tract(
        (
            (310.0, 2790.0, 3310.0),
            (610.0, 2330.0, 2990.0),
            (850.0, 1220.0, 2810.0),
            (590.0, 920.0, 2710.0),
            (370.0, 950.0, 2670.0),
        ),
        4100.0,
        0.7,
        0.03,
    ),
}
BANDWIDTHS = (80.0, 90.0, 120.0, 175.0)  # Hz
VIBRATO_HZ, VIBRATO_SEMITONES, VIBRATO_SETS_IN = 5.5, 0.4, 0.25  # the last in seconds
GLIDE, SWELL, CHANGE = 0.05, 0.04, 0.06  # seconds: from pitch to pitch, of a note's beginning and end, between vowels


def sing(notes: Sequence[Note], sex: str, length: int, sample_rate: int, rng: np.random.Generator) -> Samples:
    """Sings notes, one at a time, each on a vowel that is drawn.

    Args:
        notes: in order of onset, not overlapping.
        sex: `female` or `male`.
        length: of the result, in samples.
        sample_rate: in Hz.
        rng: draws vowels, breath and the vibrato's rate.

    Returns:
        The voice at the sampler's reference level while it sounds, silent elsewhere.
    """
    tract = TRACTS[sex]
    loudness, pitch, vowel = _score(notes, length, sample_rate, rng)
    source = _glottis(_frequency(pitch, loudness, sample_rate, rng), tract, sample_rate, rng) * loudness
    voice = np.zeros(length)
    for index, formants in enumerate(tract.vowels):
        share = _smooth((vowel == index).astype(float), CHANGE, sample_rate)
        voice += signal.sosfilt(resonators((*formants, tract.fourth), sample_rate), source) * share
    sounding = loudness > 0.1
    level = float(np.sqrt(np.mean(voice[sounding] ** 2))) if sounding.any() else 1.0
    return (voice * REFERENCE_LEVEL / level).astype(np.float32)


def _score(
    notes: Sequence[Note], length: int, sample_rate: int, rng: np.random.Generator
) -> tuple[Track, Track, Track]:
    """Loudness (0 to 1), pitch (MIDI) and number of the vowel at every sample; pitch and vowel outlast their note."""
    loudness, pitch, vowel = np.zeros(length), np.zeros(length), np.zeros(length)
    for note in notes:
        first, last = round(note.onset * sample_rate), round((note.onset + note.duration) * sample_rate)
        loudness[first:last] = note.velocity
        pitch[first:] = note.pitch
        vowel[first:] = rng.integers(len(TRACTS["male"].vowels))
    if notes:
        pitch[: round(notes[0].onset * sample_rate)] = notes[0].pitch
    return _smooth(loudness, SWELL, sample_rate), pitch, vowel


def _frequency(pitch: Track, loudness: Track, sample_rate: int, rng: np.random.Generator) -> Track:
    """Fundamental in Hz: pitches joined by glides, with a vibrato that sets in as a note is held."""
    changes = np.flatnonzero(np.diff(pitch, prepend=-1.0))
    held = np.arange(len(pitch)) - np.repeat(changes, np.diff(np.append(changes, len(pitch))))
    depth = VIBRATO_SEMITONES * np.clip(held / (VIBRATO_SETS_IN * sample_rate) - 1, 0, 1) * (loudness > 0)
    rate = VIBRATO_HZ * float(rng.uniform(0.9, 1.1))
    wave = np.sin(2 * np.pi * rate * np.arange(len(pitch)) / sample_rate)
    semitones = _smooth(pitch, GLIDE, sample_rate) + _smooth(depth, GLIDE, sample_rate) * wave
    return np.asarray(440.0 * 2 ** ((semitones - 69) / 12))


def _glottis(frequency: Track, tract: Tract, sample_rate: int, rng: np.random.Generator) -> Track:
    """Flow through the glottis, differentiated as by the lips' radiation; twice the rate keeps its edges in tune."""
    fine = np.repeat(frequency, 2) / (2 * sample_rate)
    phase = np.cumsum(fine) % 1.0
    opening, closing = tract.open_quotient * 2 / 3, tract.open_quotient / 3
    rise = phase / opening
    fall = (phase - opening) / closing
    flow = np.where(rise < 1, 3 * rise**2 - 2 * rise**3, np.where(fall < 1, 1 - fall**2, 0.0))
    breath = tract.breath * rng.standard_normal(len(flow)) * flow
    radiated = np.diff(flow + breath, prepend=0.0)
    return np.asarray(signal.resample_poly(radiated, 1, 2))


def resonators(formants: tuple[float, ...], sample_rate: int) -> Float[np.ndarray, "formants 6"]:
    """A cascade of second-order resonators of unit gain at 0 Hz, as second-order sections."""
    sections = []
    for hertz, bandwidth in zip(formants, BANDWIDTHS, strict=True):
        radius = np.exp(-np.pi * bandwidth / sample_rate)
        first, second = -2 * radius * np.cos(2 * np.pi * hertz / sample_rate), radius**2
        sections.append([1 + first + second, 0.0, 0.0, 1.0, first, second])
    return np.array(sections)


def _smooth(track: Track, seconds: float, sample_rate: int) -> Track:
    """Mean over a window of this length, centred."""
    width = max(round(seconds * sample_rate) // 2 * 2 + 1, 1)
    padded = np.pad(track, width // 2, mode="edge")
    sums = np.cumsum(np.concatenate([[0.0], padded]))
    return np.asarray((sums[width:] - sums[:-width]) / width)
