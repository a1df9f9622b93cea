"""Decoding: one file to one waveform, and what is worth knowing about it."""

import io
import math
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import soundfile

from src.data.files import check_regular
from src.data.lossy import mp3_with_length, ogg_is_cut
from src.data.waveform import Waveform
from src.errors import UserError

EXTENSIONS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".au", ".snd", ".aiff", ".aif", ".aifc")
MONO = ("mean", "left")
_LONGEST_BYTES = 8 << 30
# Half a gigabyte of float64, of which torchaudio holds several at a time.
_LARGEST_FILTER = 60_000_000
_SIZE_CLAIM = re.compile(r"(?:data|SSND|Data Size)\s*:\s*(\d+) \(should be (\d+)\)")
# Encoders that write to a pipe cannot go back to fill in the size and leave the largest number there.
_STREAMED_SIZE = 0x7FFF0000
# What libsndfile makes of a FLAC file that was written to a pipe; it cannot be read piece by piece.
_UNKNOWN_FRAMES = 2**63 - 1
# A lossy stream's declared length may count encoder delay that its decoder drops: two MPEG frames.
_LOSSY_SLACK = {"MP3/MPEG_LAYER_III": 2304}


class UnreadableAudio(UserError):
    """A file that holds no usable sound: not audio, empty, truncated, or nothing inside the window."""


@dataclass(frozen=True)
class Window:
    """Which part of each file is the clip, and at which rate.

    Attributes:
        start: first second of the clip. duration: its length in seconds, None: to the end of the file.
        sample_rate: resample to this rate in Hz; None: leave every file at its own.
    """

    start: float
    duration: float | None
    sample_rate: int | None

    def __post_init__(self) -> None:
        if self.start < 0:
            raise UserError(f"dataset.start: got {self.start}; expected seconds from the file's beginning, 0 or more")
        if self.duration is not None and self.duration <= 0:
            raise UserError(f"dataset.duration: got {self.duration}; expected seconds above 0, or null for whole files")
        if self.sample_rate is not None and not 1000 <= self.sample_rate <= 384_000:
            raise UserError(f"dataset.sample_rate: got {self.sample_rate}; expected 1000 to 384000 Hz, or null to keep")

    def key(self) -> dict[str, float | None]:
        """What the cache knows this window by."""
        return asdict(self)


@dataclass(frozen=True)
class Facts:
    """What decoding one clip found, before any preprocessing.

    Attributes:
        sample_rate: in Hz; channels: both of the file. codec: container and encoding, e.g. `MP3/MPEG_LAYER_III`.
        duration: seconds of the clip (of the window, where there is one). file_duration: seconds of the file.
        peak: largest magnitude over all channels; rms: root mean square over all channels; full scale is 1.
        clipped: share of the samples at full scale.
    """

    sample_rate: int
    channels: int
    codec: str
    duration: float
    file_duration: float
    peak: float
    rms: float
    clipped: float

    def warnings(self, window: Window) -> list[str]:
        """Conditions that a reader of the result should know of: `silent`, `short`."""
        short = window.duration is not None and self.duration < window.duration - 1 / self.sample_rate
        return ["silent"] * (self.peak == 0) + ["short"] * short


def decode(path: Path, window: Window) -> tuple[Waveform, Facts]:
    """Read one clip; every channel kept, integer PCM scaled to [-1, 1).

    Raises:
        UnreadableAudio: the file cannot be opened or decoded, is empty or truncated, or ends before the window starts.
    """
    try:
        if check_regular(path).st_size == 0:
            raise UnreadableAudio(f"{path}: an empty file")
        with _opened(path) as file:
            _check_header(path, file)
            _check_rates(path, file.samplerate, window.sample_rate)
            rate, frames, codec = file.samplerate, file.frames, f"{file.format}/{file.subtype}"
            first = round(window.start * rate)
            wanted = frames if window.duration is None else round(window.duration * rate)
            wanted = max(min(wanted, frames - first), 0)
            _check_size(path, wanted, file)
            file.seek(min(first, frames))
            samples = file.read(wanted, dtype="float32", always_2d=True).T
    except (soundfile.LibsndfileError, OSError) as error:
        raise UnreadableAudio(f"{path}: not readable as audio ({_reason(error)})") from error
    if samples.shape[1] == 0:
        raise UnreadableAudio(
            f"{path}: lasts {frames / rate:.2f} s, nothing is left from dataset.start={window.start:g} s on"
        )
    if samples.shape[1] < wanted - _LOSSY_SLACK.get(codec, 0):
        raise UnreadableAudio(f"{path}: truncated, {samples.shape[1]} of {wanted} samples could be decoded")
    if not np.isfinite(samples).all():
        raise UnreadableAudio(f"{path}: holds samples that are not numbers (NaN or infinity)")
    waveform = Waveform(np.ascontiguousarray(samples), rate)
    return resampled(waveform, window.sample_rate), _facts(waveform, codec, frames / rate)


@dataclass(frozen=True)
class Header:
    """What a file says of itself: its length in seconds, rate in Hz, channels."""

    seconds: float
    sample_rate: int
    channels: int


def header(path: Path) -> Header:
    """What a file's header promises, checked against the file's length; nothing is decoded.

    Raises:
        UnreadableAudio: the file cannot be opened, is empty, or its header promises more than the file holds.
    """
    try:
        if check_regular(path).st_size == 0:
            raise UnreadableAudio(f"{path}: an empty file")
        with _opened(path) as file:
            _check_header(path, file)
            return Header(float(file.frames / file.samplerate), file.samplerate, file.channels)
    except (soundfile.LibsndfileError, OSError) as error:
        raise UnreadableAudio(f"{path}: not readable as audio ({_reason(error)})") from error


def _opened(path: Path) -> soundfile.SoundFile:
    file = soundfile.SoundFile(os.fsencode(path))  # a name need not be UTF-8
    if file.format == "MP3" and (measured := mp3_with_length(path)) is not None:
        file.close()
        return soundfile.SoundFile(io.BytesIO(measured))
    return file


def _check_header(path: Path, file: soundfile.SoundFile) -> None:
    if file.format == "OGG" and ogg_is_cut(path):
        raise UnreadableAudio(f"{path}: truncated, it ends inside a page")
    if file.frames == 0:
        raise UnreadableAudio(f"{path}: holds no samples")
    # libsndfile cuts a header's claim down to the bytes that are there and says so only in its log.
    for claimed, held in _SIZE_CLAIM.findall(file.extra_info):
        if int(held) < int(claimed) < _STREAMED_SIZE:
            raise UnreadableAudio(f"{path}: truncated, its header promises {claimed} bytes of samples, it holds {held}")
    if file.frames == _UNKNOWN_FRAMES:
        raise UnreadableAudio(f"{path}: its header does not say how long it is; write it again from its samples")


def _check_rates(path: Path, rate: int, wanted: int | None) -> None:
    """Refuse a pair of rates whose filter would not fit into memory: it has a coefficient for each pair of phases."""
    if wanted is None or rate == wanted:
        return
    common = math.gcd(rate, wanted)
    if (rate // common) * (wanted // common) > _LARGEST_FILTER:
        raise UnreadableAudio(
            f"{path}: {rate} Hz cannot be resampled to dataset.sample_rate={wanted}, the two are nearly without a "
            "common divisor; convert the file to a usual rate first"
        )


def _check_size(path: Path, frames: int, file: soundfile.SoundFile) -> None:
    if frames * file.channels * 4 > _LONGEST_BYTES:
        raise UnreadableAudio(
            f"{path}: its header claims {frames / file.samplerate / 3600:.1f} hours, too long to be decoded whole"
        )


def _facts(waveform: Waveform, codec: str, file_duration: float) -> Facts:
    samples = waveform.samples
    magnitude = np.abs(samples)
    return Facts(
        sample_rate=waveform.sample_rate,
        channels=samples.shape[0],
        codec=codec,
        duration=waveform.duration,
        file_duration=file_duration,
        peak=float(magnitude.max()),
        rms=float(np.sqrt(np.mean(np.square(samples, dtype=np.float64)))),
        clipped=float(np.mean(magnitude >= 32767 / 32768)),
    )


def resampled(waveform: Waveform, rate: int | None) -> Waveform:
    """The same sound at another rate in Hz; None: as it is."""
    if rate is None or rate == waveform.sample_rate:
        return waveform
    import torch
    import torchaudio

    samples = torchaudio.functional.resample(torch.from_numpy(waveform.samples), waveform.sample_rate, rate)
    return Waveform(samples.numpy(), rate)


def _reason(error: Exception) -> str:
    if "possibly a pipe" in str(error):  # what libsndfile calls an MP3 without a frame of sound
        return "no MPEG audio found"
    return getattr(error, "error_string", None) or getattr(error, "strerror", None) or str(error)
