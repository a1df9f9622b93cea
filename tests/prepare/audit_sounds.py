"""Sounds and files to audit: notes that differ as takes do, and copies that differ as files do."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile

from src.data.audio import AudioStats
from src.data.clip import Clip, Dataset
from src.data.folder import scan
from src.data.waveform import Waveform
from src.prepare.audit.fingerprint import fingerprint
from src.prepare.audit.measurement import Measured

RATE = 22050


def note(hz: float, take: int, seconds: float = 1.2) -> np.ndarray:
    """A harmonic note; another take differs in phases, balance and a few cents of wavering. Float32 (samples,)."""
    rng = np.random.default_rng([take, round(hz)])
    t = np.arange(round(seconds * RATE)) / RATE
    cents = 4 * np.interp(
        t, np.arange(0, seconds + 0.2, 0.1), rng.standard_normal(len(np.arange(0, seconds + 0.2, 0.1)))
    )
    turns = np.cumsum(hz * 2 ** (cents / 1200)) / RATE
    sound = sum(10 ** (rng.normal(0, 3) / 20) / k * np.sin(2 * np.pi * (k * turns + rng.random())) for k in range(1, 9))
    envelope = np.minimum(t / 0.03, 1) * np.exp(-1.5 * t) * np.minimum((seconds - t) / 0.05, 1)
    return (0.2 * envelope * (sound + 0.02 * rng.standard_normal(len(t)))).astype(np.float32)


def tune(piece: int, seconds: float = 4.0) -> np.ndarray:
    """Half-second notes one after the other, another order for each piece; float32 (samples,)."""
    rng = np.random.default_rng(piece)
    steps = [note(220 * 2 ** (rng.integers(0, 24) / 12), piece, 0.5) for _ in range(round(seconds / 0.5))]
    return np.concatenate(steps)


def write(path: Path, sound: np.ndarray, rate: int = RATE, **how: object) -> Path:
    """Write a file, its folder too; `how` goes to soundfile."""
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, sound, rate, **how)
    return path


def dataset(root: Path, group_pattern: str | None = None) -> Dataset:
    """Every folder below `root` as a class."""
    labels = tuple(sorted(path.name for path in root.iterdir()))
    clips = [clip for label in labels for clip in scan(root / label, label, group_pattern)[0]]
    return Dataset("made", "made", root, labels, tuple(clips), "recorded", "made by a test")


@dataclass(frozen=True)
class Wanted:
    """A measured clip of which only facts matter."""

    label: str
    rms: float = 0.1
    peak: float = 0.5
    duration: float = 1.0
    rate: int = 44100
    codec: str = "WAV/PCM_16"
    size: int = 88200


SOME = fingerprint(Waveform(np.ones((1, 2000), np.float32), 8000))


def measured(wanted: Mapping[str, Wanted]) -> list[Measured]:
    """Measured clips by name, without files."""
    return [
        Measured(
            Clip(Path(f"{name}.wav"), one.label, name),
            digest=name,
            size=one.size,
            facts=AudioStats(one.rate, 1, one.codec, one.duration, one.duration, one.peak, one.rms, 0.0),
            fingerprint=SOME,
        )
        for name, one in wanted.items()
    ]
