"""Decoding: one file to one waveform, and what is worth knowing about it.

libsndfile decodes. What it takes on trust is checked, or given to it in a form that it reads right: where samples begin
and end (`chunks`), how many frames of MPEG audio there are (`mpeg`), which streams an Ogg file consists of (`ogg`), and
how long a FLAC stream is (`flac`).
"""

import io
import math
import os
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import soundfile
from jaxtyping import Float32

from src.data import chunks, flac, mpeg, ogg
from src.data.files import KNOWN_KINDS, RegularFile, SplicedFile, UnreadableAudio
from src.data.waveform import Waveform
from src.errors import UserError

__all__ = ["UnreadableAudio"]

EXTENSIONS = (".wav", ".flac", ".ogg", ".oga", ".opus", ".mp3", ".au", ".snd", ".aiff", ".aif", ".aifc")
MONO = ("mean", "left")
DECODING_VERSION = 2
"""Raised by whoever changes which samples a file decodes to; what is stored of older ones is then never read."""
_LOWEST_RATE, _HIGHEST_RATE = 1000, 1_000_000
_LONGEST_BYTES = 8 << 30
# Half a gigabyte of float64, of which torchaudio holds several at a time.
_LARGEST_FILTER = 60_000_000
_SKIPPED = 1 << 16
"""Samples that are decoded at a time where a decoder cannot seek."""
_GSM_SAMPLES = {"WAV": (65, 320), "AIFF": (33, 160)}
"""Bytes of a block of GSM 6.10, and samples in it."""


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
        return {"start": self.start, "duration": self.duration, "sample_rate": self.sample_rate}


@dataclass(frozen=True)
class AudioStats:
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


def decode(path: Path, window: Window) -> tuple[Waveform, AudioStats]:
    """Read one clip; every channel kept, integer PCM scaled to [-1, 1).

    Raises:
        UnreadableAudio: the file cannot be opened or decoded, is empty or truncated, or ends before the window starts.
    """
    with AudioFile(path) as file:
        waveform, facts = file.clip(window)
    return resampled(waveform, window.sample_rate), facts


@dataclass(frozen=True)
class Header:
    """Length of a file in seconds, its rate in Hz, and its channels."""

    seconds: float
    sample_rate: int
    channels: int


def header(path: Path) -> Header:
    """Length, rate and channels of a file that has passed every check for which nothing need be decoded.

    Raises:
        UnreadableAudio: the file cannot be opened, is empty, or its header promises more than the file holds.
    """
    with AudioFile(path) as file:
        return Header(file.frames / file.sample_rate, file.sample_rate, file.channels)


class AudioFile:
    """An audio file, open for decoding any parts of it. Not thread-safe.

    Parts that follow each other cost no more than the whole, whatever the format. MP3, FLAC and uncompressed files are
    decoded only where they are read; Vorbis, Opus and GSM from their beginning on, since libsndfile seeks in them
    wrongly, not to the bit, or not at all.

    Attributes:
        path: the file. sample_rate: in Hz. channels: their number. codec: container and encoding, e.g.
            `MP3/MPEG_LAYER_III`. frames: samples per channel.
    """

    def __init__(self, path: Path) -> None:
        """Open and check the file; nothing is decoded.

        Raises:
            UnreadableAudio: it cannot be opened, is no audio, or holds less than its header promises.
        """
        self.path = path
        self._file = RegularFile(path)
        self._sounds: list[_Decoder | mpeg.MpegStream] = []
        try:
            kind = self._open()
            sound = self._sounds[0]
            self.sample_rate, self.channels, self.codec = sound.sample_rate, sound.channels, f"{kind}/{sound.subtype}"
            self.frames = sum(sound.frames for sound in self._sounds)
            self._check()
        except (soundfile.LibsndfileError, OSError) as error:
            self.close()
            raise self._file.refusal(f"not readable as audio ({_reason(error)}); {KNOWN_KINDS}") from error
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "AudioFile":
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; a second call does nothing."""
        for sound in self._sounds:
            sound.close()
        self._sounds = []
        self._file.close()

    def clip(self, window: Window) -> tuple[Waveform, AudioStats]:
        """Decode one clip; it keeps the file's rate.

        Raises:
            UnreadableAudio: it cannot be decoded or resampled, or the file ends before the window starts.
        """
        rate = self.sample_rate
        self._check_resampling(window.sample_rate)
        first = round(window.start * rate)
        count = self.frames if window.duration is None else round(window.duration * rate)
        count = max(min(count, self.frames - first), 0)
        if count == 0:
            raise self._file.refusal(
                f"lasts {self.frames / rate:.2f} s, nothing is left from dataset.start={window.start:g} s on"
            )
        if count * self.channels * 4 > _LONGEST_BYTES:
            raise self._file.refusal(
                f"its header claims {count / rate / 3600:.1f} hours, too long to be decoded whole; set dataset.duration"
            )
        try:
            samples = self._read(first, count).T
        except (soundfile.LibsndfileError, OSError) as error:
            raise self._file.refusal(
                f"truncated or damaged ({_reason(error)}); get it again, or keep what is there: ffmpeg -i in out.wav"
            ) from error
        if samples.shape[1] < count:
            raise self._file.refusal(f"truncated, {samples.shape[1]} of {count} samples could be decoded")
        if not np.isfinite(samples).all():
            raise self._file.refusal("holds samples that are not numbers (NaN or infinity)")
        waveform = Waveform(np.ascontiguousarray(samples), rate)
        return waveform, _facts(waveform, self.codec, self.frames / rate)

    def _open(self) -> str:
        """Fill `_sounds`; returns the container's name."""
        file = self._file
        at = mpeg.after_id3(file, 0)
        data = chunks.sample_data(file, at)
        start = file.read(at, 1024)
        if data is not None:
            return self._open_chunks(data, is_plain=at == 0)
        if start.startswith(b"OggS"):
            for link in ogg.links(file, at):
                self._sounds.append(_link_sound(file, link))
            return "OGG"
        if start.startswith(b"fLaC"):
            stream = flac.native_stream(file, at)
            self._sounds.append(sound := _Decoder(file, lambda: stream))
            _check_last_sample(file, sound)
            return "FLAC"
        if start.startswith(b"NIST_1A"):
            self._sounds.append(_Decoder(file, lambda: None))
            promised = re.search(rb"sample_count -i (\d+)", start)
            if promised is not None and int(promised[1]) > (held := self._sounds[0].frames):
                raise file.refusal(f"truncated, its header promises {int(promised[1])} samples, it holds {held}")
            return "NIST"
        if (kind := _other_kind(start)) is not None:
            raise file.refusal(f"not readable as audio ({kind}); {KNOWN_KINDS}")
        self._sounds.append(mpeg.MpegStream(file, at, file.size, bare=True))
        return "MP3"

    def _open_chunks(self, data: chunks.SampleData, *, is_plain: bool) -> str:
        file, end = self._file, data.begin + data.size
        if data.is_mpeg:
            self._sounds.append(mpeg.MpegStream(file, data.begin, end, bare=False))
            return data.format
        head = data.plain_header()

        def rewritten() -> SplicedFile | None:
            return None if head is None else SplicedFile(file, data.begin, end, head)

        sound = None
        if is_plain and data.promised is not None:
            with suppress(soundfile.LibsndfileError):  # it stumbles over some chunks that it need not know
                sound = _Decoder(file, lambda: None)
        try:
            sound = sound or _Decoder(file, rewritten)
        except soundfile.LibsndfileError as error:
            kind = f"{data.format} of the encoding {data.encoding}"
            raise file.refusal(f"not readable as audio ({kind}: {_reason(error)}); {KNOWN_KINDS}") from error
        if sound.subtype == "GSM610":  # it counts the byte that fills up an odd length as a block
            size, samples = _GSM_SAMPLES[data.format]
            sound.frames = data.size // size * samples
        self._sounds.append(sound)
        return data.format if data.format in ("RF64", "W64") else sound.format

    def _check(self) -> None:
        file, rate = self._file, self.sample_rate
        if not _LOWEST_RATE <= rate <= _HIGHEST_RATE:
            raise file.refusal(
                f"its header says {rate} Hz; expected {_LOWEST_RATE} to {_HIGHEST_RATE}. If that is wrong: "
                "sox -r RATE in.wav out.wav"
            )
        if self.frames == 0:
            raise file.refusal("holds no samples")
        for sound in self._sounds:
            here, there = (self.sample_rate, self.channels), (sound.sample_rate, sound.channels)
            if here != there:
                raise file.refusal(
                    f"changes from {here[0]} Hz and {here[1]} channels to {there[0]} Hz and {there[1]} channels; "
                    "ffmpeg -i in out.wav writes one that can be used"
                )

    def _check_resampling(self, wanted: int | None) -> None:
        """Refuse rates whose filter would not fit into memory: it has a coefficient for each pair of phases."""
        rate = self.sample_rate
        if wanted is None or rate == wanted:
            return
        common = math.gcd(rate, wanted)
        if (rate // common) * (wanted // common) > _LARGEST_FILTER:
            raise self._file.refusal(
                f"{rate} Hz cannot be resampled to dataset.sample_rate={wanted}, the two are nearly without a common "
                "divisor; convert the file to a usual rate first"
            )

    def _read(self, first: int, count: int) -> Float32[np.ndarray, "samples channels"]:
        parts, begin = [], 0
        for sound in self._sounds:
            here = max(first - begin, 0)
            wanted = min(first + count - begin, sound.frames) - here
            if wanted > 0:
                parts.append(sound.read(here, wanted))
            begin += sound.frames
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


class _Decoder:
    """A sound that libsndfile decodes.

    Attributes:
        format, subtype: libsndfile's names. The others are as in `AudioFile`.
    """

    def __init__(self, file: RegularFile, stream: Callable[[], io.IOBase | None], *, seeks: bool = True) -> None:
        """Open it.

        Args:
            file: the file, which stays open. stream: what is to be decoded instead of the whole file; None: that.
            seeks: whether the decoder finds any sample of it.
        """
        self._file, self._stream = file, stream
        self._decoder = self._opened()
        self._seeks = seeks and self._decoder.seekable()
        self.format, self.subtype = str(self._decoder.format), str(self._decoder.subtype)
        self.sample_rate, self.channels = int(self._decoder.samplerate), int(self._decoder.channels)
        self.frames = int(self._decoder.frames)

    def _opened(self) -> soundfile.SoundFile:
        self._at = 0
        stream = self._stream()
        if stream is not None:
            stream.seek(0)
            return soundfile.SoundFile(stream)
        os.lseek(self._file.fd, 0, os.SEEK_SET)
        return soundfile.SoundFile(self._file.fd, closefd=False)

    def read(self, first: int, count: int) -> Float32[np.ndarray, "samples channels"]:
        """Samples `first` to `first + count`."""
        if self._seeks:
            self._decoder.seek(first)
        elif first < self._at:
            self._decoder.close()
            self._decoder = self._opened()
        while not self._seeks and self._at < first:
            skipped = len(self._decoder.read(min(first - self._at, _SKIPPED), dtype="float32"))
            if skipped == 0:
                break
            self._at += skipped
        found: np.ndarray = self._decoder.read(count, dtype="float32", always_2d=True)
        self._at = first + len(found)
        return found

    def close(self) -> None:
        """Close the decoder, and not the file."""
        self._decoder.close()


def _link_sound(file: RegularFile, link: ogg.Link) -> _Decoder:
    if link.codec != "FLAC":
        content = None if link.alone else io.BytesIO(link.bytes(file))
        return _Decoder(file, lambda: content or SplicedFile(file, link.begin, link.end), seeks=False)
    native = link.bytes(file, bodies=True)[9:]  # behind the mapping's own header
    if not flac.samples_stated(native):
        native = flac.stating(native[:42], link.samples) + native[42:]
    sound = _Decoder(file, lambda: io.BytesIO(native))
    sound.subtype = link.codec
    _check_last_sample(file, sound)
    return sound


def _check_last_sample(file: RegularFile, sound: "_Decoder") -> None:
    """Refuse a FLAC stream that ends before the last sample that its header promises."""
    try:
        found = len(sound.read(sound.frames - 1, 1)) if sound.frames else 1
    except soundfile.LibsndfileError:
        found = 0
    if not found:
        raise file.refusal(
            f"truncated or damaged, the last of its {sound.frames} samples cannot be decoded; get it again, or keep "
            "what is there: ffmpeg -i in.flac out.wav"
        )


def _other_kind(start: bytes) -> str | None:
    """What a file that begins like this is, where it is nothing that is decoded here."""
    text = start.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if text.startswith(b"version https://git-lfs"):
        return "a Git LFS pointer; git lfs pull fetches the file itself"
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        return "a web page, not a recording; download it again"
    if start[4:8] == b"ftyp":
        return "MPEG-4, as in .m4a and .mp4"
    if len(start) > 1 and start[0] == 0xFF and start[1] & 0xF6 == 0xF0:
        return "AAC"
    kinds = {b"\x1aE\xdf\xa3": "Matroska or WebM", b"0&\xb2u": "Windows Media", b"PK\3\4": "a ZIP archive"}
    kinds |= {b"RIFF": "RIFF, but not WAV", b"FORM": "IFF, but not AIFF"}
    return kinds.get(start[:4])


def _facts(waveform: Waveform, codec: str, file_duration: float) -> AudioStats:
    samples = waveform.samples
    magnitude = np.abs(samples)
    return AudioStats(
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
    return str(getattr(error, "error_string", None) or getattr(error, "strerror", None) or error).rstrip(".")
