"""What happens to a mix until it is a file: room, loudness, limiting, fades, and FLAC that says what made it."""

import io
from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Float32, Int16
from scipy import signal, special

from src.data.writing import write_atomically

Samples = Float32[np.ndarray, " samples"]

# Comb delays of Schroeder's reverberator ("Natural sounding artificial reverberation", JAES 10 (3), 1962), in seconds.
COMBS = (0.0297, 0.0371, 0.0411, 0.0437)
REVERBERATION = 1.2  # seconds until the room has faded by 60 dB
TILT_PIVOT = 800.0  # Hz
KNEE, CEILING = 0.7, 0.97
FADE = 0.01  # seconds; an excerpt cut in the middle of the music would click
LOUDNESS_STEPS = 6


def reverberate(samples: Samples, sample_rate: int, level: float) -> Samples:
    """Adds a room's echoes; `level` is the amplitude of all four combs together against the direct sound."""
    if not level:
        return samples
    wet = np.zeros_like(samples)
    for seconds in COMBS:
        delay = round(seconds * sample_rate)
        rows = np.zeros((-(-len(samples) // delay), delay), np.float32)
        rows.reshape(-1)[: len(samples)] = samples
        feedback = np.float32(10 ** (-3 * seconds / REVERBERATION))
        for row in range(1, len(rows)):
            rows[row] += feedback * rows[row - 1]
        wet += rows.reshape(-1)[: len(samples)] - samples
    return samples + np.float32(level / len(COMBS)) * wet


def tilt(samples: Samples, sample_rate: int, decibels: float) -> Samples:
    """Lifts the highs and lowers the lows by this much (or the other way round), as microphones and studios do.

    A first-order shelf on either side of the pivot, where nothing changes.
    """
    gain, pivot = 10 ** (decibels / 20), 2 * np.pi * TILT_PIVOT
    numerator, denominator = signal.bilinear([gain, pivot], [1.0, gain * pivot], sample_rate)
    return np.asarray(signal.lfilter(numerator.astype(np.float32), denominator.astype(np.float32), samples))


def limit(samples: Samples) -> Samples:
    """Leaves what is below the knee, bends the rest smoothly so that it stays below the ceiling."""
    loud = np.abs(samples) > KNEE
    limited = samples.copy()
    excess = (np.abs(samples[loud]) - KNEE) / (CEILING - KNEE)
    limited[loud] = np.sign(samples[loud]) * (KNEE + (CEILING - KNEE) * np.tanh(excess)).astype(np.float32)
    return limited


def loudness(mean: float, deviation: float, place: float) -> float:
    """The RMS of a clip (full scale is 1) from the gamma distribution with this mean and standard deviation.

    Between a tenth of the mean, where nothing is left in 16 bits, and 0.5, where limiting would be plain distortion.

    Args:
        mean: of the class. deviation: likewise.
        place: where the clip lies among those of its class, from 0 (softest) to 1 (loudest).
    """
    shape = (mean / deviation) ** 2
    drawn = float(special.gammaincinv(shape, place)) * mean / shape
    return min(max(drawn, mean / 10), 0.5)


def set_loudness(samples: Samples, rms: float) -> Samples:
    """Scales to an RMS amplitude (full scale 1) and limits the peaks, which costs loudness that is made up for."""
    # Every eighth sample tells the distribution of amplitudes well enough to find the gain.
    few = samples[::8]
    level = float(np.sqrt(np.mean(few**2)))
    if level == 0:
        return samples
    gain = rms / level
    for _ in range(LOUDNESS_STEPS):
        gain *= rms / float(np.sqrt(np.mean(limit(np.float32(gain) * few) ** 2)))
    return limit(np.float32(gain) * samples)


def fade(samples: Samples, sample_rate: int) -> Samples:
    """Fades the first and last hundredth of a second."""
    length = min(round(FADE * sample_rate), len(samples) // 2)
    ramp = np.linspace(0.0, 1.0, length, dtype=np.float32)
    faded = samples.copy()
    faded[:length] *= ramp
    faded[len(faded) - length :] *= ramp[::-1]
    return faded


def to_int16(samples: Samples) -> Int16[np.ndarray, " samples"]:
    """16-bit samples, rounded to nearest."""
    rounded: Int16[np.ndarray, " samples"] = np.rint(np.clip(samples, -1.0, 1.0) * 32767).astype(np.int16)
    return rounded


# 0 to 1. Below 0.375 files are up to a sixth larger, above 0.5 no smaller; all take equally long.
COMPRESSION = 0.5
MAKER = "earsight stand-in "


def write_flac(path: Path, samples: Int16[np.ndarray, " samples"], sample_rate: int, fingerprint: str) -> None:
    """Writes 16-bit FLAC under a temporary name, then renames it.

    FLAC and not Ogg Vorbis: libsndfile draws a new serial number for every Ogg stream, so the same audio would give
    other bytes each time.

    Args:
        path: of the file; its folder is made.
        samples: one channel.
        sample_rate: in Hz.
        fingerprint: of everything that determines the samples, kept in the file's comment.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    buffer = io.BytesIO()
    with soundfile.SoundFile(
        buffer, "w", sample_rate, 1, "PCM_16", format="FLAC", compression_level=COMPRESSION
    ) as sound:
        sound.comment = MAKER + fingerprint
        sound.write(samples)
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, buffer.getvalue())


def comment(path: Path) -> str:
    """The comment of an audio file, empty where it has none or cannot be read."""
    try:
        with soundfile.SoundFile(path) as sound:
            return str(sound.comment)
    except (soundfile.SoundFileError, OSError):
        return ""


def is_stand_in(path: Path) -> bool:
    """Whether this renderer made the file."""
    return comment(path).startswith(MAKER)


def is_finished(path: Path, fingerprint: str) -> bool:
    """Whether the file is there, complete, and the one the fingerprint stands for.

    Files are renamed when complete, so the header is all that needs to be read.
    """
    return path.is_file() and comment(path) == MAKER + fingerprint
