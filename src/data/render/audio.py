"""Finished clips on disk: FLAC files that say what made them."""

import hashlib
import io
import os
from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Int16

# 0 to 1. Below 0.375 files are up to a sixth larger, above 0.5 no smaller; all take equally long.
COMPRESSION = 0.5
MAKER = "earsight stand-in "
PARTIAL = ".part"


def write(path: Path, samples: Int16[np.ndarray, " samples"], sample_rate: int, fingerprint: str) -> None:
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
    replace(path, buffer.getvalue())


def replace(path: Path, content: bytes) -> None:
    """Writes a file as a whole: under a temporary name beside it, then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}{PARTIAL}")
    try:
        partial.write_bytes(content)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


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


def digest(path: Path) -> str:
    """SHA-256 of the file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
