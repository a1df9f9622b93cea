"""One planned clip becomes one audio file: arranged, played, mastered, written."""

import functools
import hashlib
import json
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from scipy import signal

from src.data.render import audio, description, mastering, voice
from src.data.render.arrangement import PlannedClip, generator
from src.data.render.description import ClassDescription
from src.data.render.plan import KINDS
from src.data.render.sampler import Sampler
from src.data.render.sound_font import SoundFont

# Raise it when the same plan would now sound differently.
RENDERER = 7
# Played slower, recordings of 44.1 kHz would fold their highs into the clip.
LOWEST_RATE = 44100
GOLDEN_SECTION = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Job:
    """What all clips of a rendering share.

    Attributes:
        dataset: name of the stand-in.
        seed: of everything that is drawn.
        font: the sampled instruments.
        out: folder of the dataset.
        cache: folder of parsed scores.
    """

    dataset: str
    seed: int
    font: SoundFont
    out: Path
    cache: Path

    def fingerprint(self, clip: PlannedClip) -> str:
        """SHA-256 of everything that determines the clip's samples."""
        made_of = [
            RENDERER,
            versions(),
            description.load(self.dataset).digest,
            self.seed,
            self.font.sha256,
            asdict(clip),
        ]
        return hashlib.sha256(json.dumps(made_of, sort_keys=True).encode()).hexdigest()


@functools.cache
def versions() -> dict[str, str]:
    """Versions of the libraries that shape the audio."""
    return {name: version(name) for name in ("music21", "numpy", "scipy", "soundfile")}


def file_of(clip: PlannedClip) -> str:
    """Path of the clip's file below the dataset's folder."""
    return f"{clip.label}/{clip.name}.flac"


def perform(job: Job, clip: PlannedClip) -> dict[str, Any]:
    """Renders a clip unless its file is there already.

    Returns:
        The clip's row of the manifest.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    path = job.out / file_of(clip)
    fingerprint = job.fingerprint(clip)
    if not audio.is_finished(path, fingerprint):
        sample_rate = description.load(job.dataset).sample_rate
        audio.write(path, mastering.to_int16(_sound(job, clip)), sample_rate, fingerprint)
    row = {
        "file": file_of(clip),
        "label": clip.label,
        "group": clip.group,
        "source": clip.source,
        "licence": _licence(job, clip),
        "duration": clip.seconds,
        "digest": audio.digest(path),
    }
    return row | clip.columns


def _licence(job: Job, clip: PlannedClip) -> str:
    scores = "score: see music21/corpus/license.txt; " if "score" in clip.recipe else ""
    return f"{scores}samples of {job.font.name}: {job.font.licence}"


def _sound(job: Job, clip: PlannedClip) -> mastering.Samples:
    described = description.load(job.dataset)
    one = described.classes[clip.label]
    rng = generator(job.seed, described.dataset, clip.label, clip.name)
    _, arrange = KINDS[one.kind]
    arrangement = arrange(clip, one, rng, job.cache)
    oversampling = -(-LOWEST_RATE // described.sample_rate)
    rate = described.sample_rate * oversampling
    samples = _sampler(job.font.path, rate).mix(arrangement.parts, arrangement.skip + clip.seconds)
    if arrangement.song:
        song = arrangement.song
        samples += np.float32(10 ** (song.gain / 20)) * voice.sing(song.notes, song.sex, len(samples), rate, rng)
    samples = mastering.reverberate(samples, rate, one.room)[-round(clip.seconds * rate) :]
    if oversampling > 1:
        samples = np.asarray(signal.resample_poly(samples, 1, oversampling), np.float32)
    if one.colour:
        drawn = generator(job.seed, "colour", clip.label, clip.name).normal(0, one.colour)
        samples = mastering.tilt(samples, described.sample_rate, float(drawn))
    if one.rms is None:
        samples = mastering.limit(samples)
    else:
        samples = mastering.set_loudness(samples, wanted_loudness(job.seed, clip, one))
    return mastering.fade(samples, described.sample_rate)


def wanted_loudness(seed: int, clip: PlannedClip, one: ClassDescription) -> float:
    """The RMS amplitude of a clip.

    The clips of a class, in the order of the plan, take places in its distribution that the golden section scatters, so
    that a small edition has the mean and deviation of the full one.
    """
    if one.rms is None:
        raise ValueError(f"{one.label}: is left as loud as it is played")
    first = float(generator(seed, "loudness", clip.label).uniform())
    return mastering.loudness(*one.rms, (first + clip.number * GOLDEN_SECTION) % 1)


@functools.lru_cache(maxsize=1)
def _sampler(font: Path, sample_rate: int) -> Sampler:
    return Sampler(font, sample_rate)
