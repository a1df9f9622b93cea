"""Renders a stand-in dataset into a folder: clips first, manifest last, and again from where it was interrupted."""

import errno
import functools
import hashlib
import json
import multiprocessing
import os
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from scipy import signal

from src.data.download import checksum
from src.data.render import band, chords, corpus, description, excerpts, mastering, notes, voice
from src.data.render.description import ClassDescription, PlannedClip, generator
from src.data.render.sampler import Arrangement, Sampler
from src.data.render.sound_font import SoundFont
from src.data.render.sound_font import find as find_font
from src.data.writing import write_atomically
from src.errors import UserError

Arranger = Callable[[PlannedClip, ClassDescription, np.random.Generator, Path], Arrangement]
Planner = Callable[[ClassDescription, np.random.Generator], Iterator[PlannedClip]]
# For each kind of class: which clips it has, and what sounds in one of them.
KINDS: dict[str, tuple[Planner, Arranger]] = {
    "excerpts": (excerpts.plan, excerpts.arrange),
    "band": (band.plan, band.arrange),
    "notes": (notes.plan, notes.arrange),
    "chords": (chords.plan, chords.arrange),
}


def plan(dataset: str, clips_per_class: int | None, seed: int) -> list[PlannedClip]:
    """Clips of a stand-in dataset; those of a smaller edition come first in every class of the full one.

    Args:
        dataset: name of a stand-in, e.g. `composer`.
        clips_per_class: None for as many as the paper's table 1 has.
        seed: of everything that is drawn.

    Raises:
        UserError: no such stand-in.
        ValueError: its description promises more clips than its material yields.
    """
    described = description.load(dataset)
    planned: list[PlannedClip] = []
    for label, count in described.cardinalities(clips_per_class).items():
        one = described.classes[label]
        planner, _ = KINDS[one.kind]
        found = list(islice(planner(one, generator(seed, described.dataset, label)), count))
        if len(found) < count:
            raise ValueError(f"stand-in {dataset}: {label} yields {len(found)} clips; its description promises {count}")
        planned += [replace(clip, number=number) for number, clip in enumerate(found)]
    return planned


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
    """Versions of the libraries that shape the mastering."""
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
    if not mastering.is_finished(path, fingerprint):
        sample_rate = description.load(job.dataset).sample_rate
        mastering.write_flac(path, mastering.to_int16(_sound(job, clip)), sample_rate, fingerprint)
    scores = "score: see music21/corpus/license.txt; " if "score" in clip.recipe else ""
    row = {
        "file": file_of(clip),
        "label": clip.label,
        "group": clip.group,
        "source": clip.source,
        "licence": f"{scores}samples of {job.font.name}: {job.font.licence}",
        "duration": clip.seconds,
        "digest": checksum(path, "sha256"),
    }
    return row | clip.columns


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


MANIFEST = "manifest.json"
AUDIO_SUFFIXES = {".flac", ".wav", ".mp3", ".ogg", ".au", ".aiff", ".m4a"}
# Music in 16-bit FLAC takes between a third and three quarters of its uncompressed size.
LEAST_SIZE, USUAL_SIZE = 0.25, 0.6
ABANDONED = 600  # seconds; a clip is written in less than one
NO_SPACE = {errno.ENOSPC, errno.EDQUOT}

Progress = Callable[[int, int], None]


def render(
    dataset: str,
    out: Path,
    *,
    clips_per_class: int | None,
    seed: int,
    sound_font: Path | None,
    workers: int,
    progress: Progress | None,
) -> Path:
    """Renders a stand-in dataset; deterministic: the same arguments give the same bytes.

    Finished clips are kept, so an interrupted rendering goes on where it stopped, and a small edition can grow into a
    larger one. Parsed scores are kept in `.scores` beside the folder.

    Args:
        dataset: name of a stand-in, e.g. `composer`.
        out: folder to fill with `<class>/<clip>.flac` and `manifest.json`, which is written last: a folder without one
            is not ready.
        clips_per_class: None for as many as the paper's table 1 has.
        seed: of everything that is drawn.
        sound_font: None for Debian's FluidR3 where installed, else the one that pretty_midi brings.
        workers: processes; 1 renders in this one.
        progress: told after each clip how many are done, of how many.

    Returns:
        `out`.

    Raises:
        UserError: no such stand-in, no sound font, a folder with other recordings, or a full disk.
    """
    parsed = out.absolute().parent / ".scores"
    job = Job(description.load(dataset).dataset, seed, find_font(sound_font), out.absolute(), parsed)
    clips = plan(dataset, clips_per_class, seed)
    digest = hashlib.sha256("".join(job.fingerprint(clip) for clip in clips).encode()).hexdigest()
    if _is_ready(out, clips, digest):
        return out
    sample_rate = description.load(dataset).sample_rate
    try:
        _make_room(out, clips)
        _check_space(out, clips, sample_rate)
        performed = (
            ((index, perform(job, clip)) for index, clip in enumerate(clips))
            if workers <= 1
            else _processes(job, clips, workers)
        )
        rows: dict[int, dict[str, Any]] = {}
        for index, row in performed:
            rows[index] = row
            if progress:
                progress(len(rows), len(clips))
        manifest = _manifest(job, clips_per_class, [rows[index] for index in range(len(clips))]) | {
            "fingerprint": digest
        }
        write_atomically(out / MANIFEST, json.dumps(manifest, indent=1).encode())
    except OSError as error:
        raise _explained(error, out, clips, sample_rate) from error
    return out


def _is_ready(out: Path, clips: list[PlannedClip], digest: str) -> bool:
    try:
        manifest = json.loads((out / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return manifest.get("fingerprint") == digest and all((out / file_of(clip)).is_file() for clip in clips)


def _make_room(out: Path, clips: list[PlannedClip]) -> None:
    """Removes what an earlier rendering left and this one does not plan; refuses a folder with anything else in it."""
    planned = {out / file_of(clip) for clip in clips}
    (out / MANIFEST).unlink(missing_ok=True)
    for path in out.glob("*/.*.flac.*"):  # the temporary files of a process that was killed while it wrote
        if time.time() - path.stat().st_mtime > ABANDONED:
            path.unlink(missing_ok=True)
    for path in sorted(out.glob("*/**/*")):
        if path in planned or path.suffix.lower() not in AUDIO_SUFFIXES or path.name.startswith("."):
            continue
        if not mastering.is_stand_in(path):
            raise UserError(
                f"{path}: this recording is not part of the stand-in to be rendered, and the two must not be mixed; "
                f"render into another folder, or move the recordings out of {out}"
            )
        path.unlink(missing_ok=True)


def _missing(out: Path, clips: list[PlannedClip], sample_rate: int) -> tuple[int, float]:
    """How many clips have no file yet, and their bytes uncompressed."""
    seconds = [clip.seconds for clip in clips if not (out / file_of(clip)).is_file()]
    return len(seconds), sum(seconds, 0.0) * sample_rate * 2


def _check_space(out: Path, clips: list[PlannedClip], sample_rate: int) -> None:
    existing = next(folder for folder in (out.absolute(), *out.absolute().parents) if folder.is_dir())
    if shutil.disk_usage(existing).free < _missing(out, clips, sample_rate)[1] * LEAST_SIZE:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _explained(error: OSError, out: Path, clips: list[PlannedClip], sample_rate: int) -> UserError:
    if error.errno in NO_SPACE:
        count, size = _missing(out, clips, sample_rate)
        return UserError(
            f"{out}: the disk is full; {count} of {len(clips)} clips are missing and need about "
            f"{size * USUAL_SIZE / 1e6:.0f} MB; free that space and start again (finished clips are kept), or ask for "
            "fewer clips per class"
        )
    return UserError(f"{out}: cannot be written ({error}); expected a folder that this user may write to")


def _processes(job: Job, clips: list[PlannedClip], workers: int) -> Iterator[tuple[int, dict[str, Any]]]:
    """Index and row of each clip, in the order of completion.

    Mixing holds the interpreter's lock, so that threads would gain nothing.
    """
    spawning = multiprocessing.get_context("spawn")  # a fork would copy the caller's threads' locks
    with ProcessPoolExecutor(workers, spawning, _die_with_parent) as pool:
        scores = sorted({str(clip.recipe["score"]) for clip in clips if "score" in clip.recipe})
        # Each score is parsed once, before two processes could want it at the same time.
        for _ in pool.map(corpus.prepare, scores, [job.cache] * len(scores)):
            pass
        running = {pool.submit(perform, job, clip): index for index, clip in enumerate(clips)}
        try:
            for future in as_completed(running):
                yield running.pop(future), future.result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _die_with_parent() -> None:
    """A worker whose parent was killed would wait for its next clip for ever."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _manifest(job: Job, clips_per_class: int | None, rows: list[dict[str, Any]]) -> dict[str, Any]:
    edition = "full" if clips_per_class is None else f"{clips_per_class} clips per class"
    return {
        "dataset": job.dataset,
        "origin": "rendered",
        "seed": job.seed,
        "clips_per_class": clips_per_class,
        "provenance": f"rendered with {job.font.name} {job.font.sha256[:8]}, seed {job.seed}, {edition}",
        "sound_fonts": [{"name": job.font.name, "sha256": job.font.sha256}],
        "versions": versions(),
        "clips": rows,
        "notes": list(description.load(job.dataset).notes),
    }
