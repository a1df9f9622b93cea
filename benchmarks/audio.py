"""Simple audio for the other benchmarks: struck notes with harmonics, classes that differ in brightness and decay.

A clip costs about a tenth of the time that a sampler would take, and compresses no better than music, so that reading
it is honest work.
"""

from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Float32

CLASSES = ("bright", "dark", "long", "short")
_HARMONICS = 8


def tune(rng: np.random.Generator, kind: str, seconds: float, rate: int) -> Float32[np.ndarray, " samples"]:
    """About four notes a second over a little noise, full scale 1."""
    samples = rng.normal(0, 0.003, round(seconds * rate)).astype(np.float32)
    fall = {"bright": 0.6, "dark": 2.2}.get(kind, 1.2)
    life = {"long": 0.6, "short": 0.08}.get(kind, 0.25) * rng.uniform(0.8, 1.25)
    for onset in rng.uniform(0, seconds - 0.05, max(1, round(4 * seconds))):
        first = round(onset * rate)
        length = min(round(5 * life * rate), len(samples) - first)
        time = np.arange(length, dtype=np.float32) / np.float32(rate)
        pitch = 55 * 2 ** (rng.integers(0, 48) / 12)
        # the k-th harmonic as a power of the first: a complex product costs a tenth of a sine
        first_harmonic = np.exp(2j * np.pi * pitch * time).astype(np.complex64)
        harmonic, note = np.ones(length, np.complex64), np.zeros(length, np.float32)
        for number in range(1, _HARMONICS + 1):
            harmonic *= first_harmonic
            if number * pitch < 0.45 * rate:
                note += harmonic.imag * np.float32(number**-fall)
        samples[first : first + length] += np.float32(rng.uniform(0.05, 0.2)) * note * np.exp(-time / np.float32(life))
    return np.clip(samples, -1, 1)


def render(folder: Path, clips: int, seconds: float, rate: int) -> Path:
    """A folder of <class>/<number>.wav, 16 bits, made once; the same files for the same arguments."""
    place = folder / f"{clips}x{seconds:g}s{rate}"
    done = place / ".done"
    if done.exists():
        return place
    for number in range(clips):
        kind = CLASSES[number % len(CLASSES)]
        (place / kind).mkdir(parents=True, exist_ok=True)
        samples = tune(np.random.default_rng(number), kind, seconds, rate)
        soundfile.write(place / kind / f"{number:05d}.wav", samples, rate, "PCM_16")
    done.touch()
    return place


def first_of(rendered: Path, clips: int, folder: Path) -> Path:
    """A folder that holds the first clips of a rendered one, as links."""
    for path in sorted(rendered.glob("*/*.wav"), key=lambda path: path.name)[:clips]:
        (folder / path.parent.name).mkdir(parents=True, exist_ok=True)
        (folder / path.parent.name / path.name).symlink_to(path)
    return folder
