"""The paper's baseline features: what Marsyas's single-vector mode computes from one audio file.

Each frame of 512 samples gives 31 values (zero crossings, spectral shape, MFCC, chroma). A sliding texture window of
20 frames gives their mean and deviation, and the mean and deviation of those over the file give the 124 values.
Arrays are laid out (bins, frames), and no product goes through BLAS, whose last bit depends on its number of threads.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
from jaxtyping import Float32, Float64

from src.backbone import JSON
from src.data.waveform import Waveform
from src.errors import UserError

if TYPE_CHECKING:
    from scipy import sparse

FRAME = 512  # samples per frame, and from one frame to the next
BINS = FRAME // 2 + 1
TEXTURE = 20  # frames
MIN_FRAMES = 4
BLOCK = 256  # frames worked on at a time: half a megabyte an array, which stays in a core's cache
TINY = np.finfo(np.float64).tiny  # keeps the logarithm of a silent bin finite
PITCHES = ("A", "A#", "B", "C", "C#", "D", "D#", "E", "F", "F#", "G", "G#")
CEPSTRA = 13
BANDS = 40
FRAME_FEATURES = (
    *("zcr", "centroid", "rolloff", "flux"),
    *(f"mfcc{j}" for j in range(CEPSTRA)),
    *(f"chroma_{pitch}" for pitch in PITCHES),
    *("peakratio_average", "peakratio_minimum"),
)
STATISTICS = ("mean_mean", "mean_std", "std_mean", "std_std")  # over the file, then within the texture window

HAMMING = 0.54 - 0.46 * np.cos(2 * np.pi * np.arange(FRAME) / (FRAME - 1))


@dataclass(frozen=True)
class Filters:
    """The two banks that read the spectrum, for one sample rate.

    Attributes:
        mel: 40 triangles; sparse, shape (40, 257).
        chroma: 12 pitch classes from A; sparse, shape (12, 257).
    """

    mel: "sparse.csr_array"
    chroma: "sparse.csr_array"


def mel_triangles(sample_rate: int) -> Float64[np.ndarray, "40 257"]:
    """Weights of 40 triangles of unit area in Hz on the bins of the power spectrum.

    Thirteen edges lie 66.67 Hz apart from 133.33 Hz, the other 29 each a factor 1.07117 above the last, up to 6854 Hz.
    Bins past the spectrum's end (sample rates below 13.7 kHz) read it mirrored: bin k >= 257 reads 513 - k.
    """
    lowest, spacing, ratio = (float(np.float32(value)) for value in (133.3333, 66.66666, 1.0711703))
    linear = lowest + spacing * np.arange(13)
    edges = np.concatenate([linear, linear[-1] * ratio ** np.arange(1, BANDS + 2 - 12)])
    low, centre, high = (edges[i : i + BANDS, None] for i in range(3))
    hertz = np.arange(FRAME) * sample_rate / FRAME
    rising = (hertz - low) / (centre - low) * ((hertz > low) & (hertz <= centre))
    falling = (high - hertz) / (high - centre) * ((hertz > centre) & (hertz <= high))
    weights = 2 / (high - low) * (rising + falling)
    folded: Float64[np.ndarray, "40 257"] = weights[:, :BINS].copy()
    folded[:, 2:] += weights[:, : BINS - 1 : -1]
    return folded


def chroma_weights(sample_rate: int) -> Float64[np.ndarray, "12 257"]:
    """Weight of each bin in each of 12 pitch classes from A: a Gaussian in semitones, each bin's 12 of unit L2 norm.

    A bin's width is its distance to the next bin in semitones, 1 at least. The bin's frequency is k sr/257, twice
    the true one (the tool's own slip: an octave, which a pitch class hardly notices).
    """
    pitch = np.empty(BINS)
    pitch[1:] = 12 * np.log2(np.arange(1, BINS) * sample_rate / BINS / 27.5)  # semitones above the lowest A of a piano
    pitch[0] = pitch[1] - 18
    width = np.append(np.maximum(1, np.diff(pitch)), 1)
    away = (pitch - np.arange(12)[:, None] + 126) % 12 - 6  # semitones to the nearest pitch of the class, -6 to 6
    weights = np.exp(-((2 * away / width) ** 2) / 2)
    normalised: Float64[np.ndarray, "12 257"] = weights / np.sqrt((weights**2).sum(axis=0))
    return normalised


@lru_cache(maxsize=16)
def filters(sample_rate: int) -> Filters:
    """Both banks for a sample rate in Hz, made once."""
    from scipy import sparse  # settings are checked without

    return Filters(sparse.csr_array(mel_triangles(sample_rate)), sparse.csr_array(chroma_weights(sample_rate)))


def zero_crossings(frames: Float64[np.ndarray, "frames 512"]) -> Float64[np.ndarray, " frames"]:
    """(1 + pairs of neighbouring samples of strictly opposite sign) / 512."""
    crossings = np.count_nonzero(frames[:, 1:] * frames[:, :-1] < 0, axis=1)
    rate: Float64[np.ndarray, " frames"] = (1 + crossings) / FRAME
    return rate


def centroid_and_rolloff(power: Float64[np.ndarray, "257 frames"]) -> Float64[np.ndarray, "2 frames"]:
    """Centre of gravity of the spectrum, and the last bin (2 at least) below 90 % of its power; both in bins / 257.

    A spectrum without power has 0.5 and 1; the rolloff is 1 as well where no such bin exists.
    """
    cumulative = np.cumsum(power, axis=0)
    total = cumulative[-1]
    moment = np.einsum("b,bf->f", np.arange(BINS, dtype=np.float64), power)
    centroid = np.full(len(total), 0.5)
    np.divide(moment, total * BINS, out=centroid, where=total > 0)
    last = np.count_nonzero(cumulative < 0.9 * total, axis=0) - 1
    return np.stack([centroid, np.where(last >= 2, last / BINS, 1.0)])


def flux(log_power: Float64[np.ndarray, "257 frames_and_one_before"]) -> Float64[np.ndarray, " frames"]:
    """Mean squared change of the log spectrum from frame to frame, relative to the bin that changes most; bin 0 out."""
    change = np.diff(log_power[1:], axis=1) ** 2
    largest = change.max(axis=0)
    out = np.zeros(len(largest))
    np.divide(change.sum(axis=0), BINS * largest, out=out, where=largest > 0)
    return out


def mfcc(power: Float64[np.ndarray, "257 frames"], mel: "sparse.csr_array") -> Float64[np.ndarray, "13 frames"]:
    """Cosine transform of the log10 energies of the mel bands; a band without any energy counts as 0."""
    energy = mel @ power
    bands = np.zeros_like(energy)
    np.log10(energy, out=bands, where=energy > 0)
    angles = np.pi * np.arange(CEPSTRA)[:, None] * (2 * np.arange(BANDS) + 1) / (2 * BANDS)
    cosines = np.cos(angles) / np.sqrt(BANDS / 2)
    cosines[0] *= np.sqrt(0.5)
    cepstra: Float64[np.ndarray, "13 frames"] = np.einsum("cb,bf->cf", cosines, bands)
    return cepstra


def peak_ratios(chroma: Float64[np.ndarray, "12 frames"]) -> Float64[np.ndarray, "2 frames"]:
    """Strongest pitch class over the mean and over the weakest; both 0 where the weakest is 0."""
    ratios = np.zeros((2, chroma.shape[1]))
    weakest = chroma.min(axis=0)
    np.divide(chroma.max(axis=0), np.stack([chroma.mean(axis=0), weakest]), out=ratios, where=weakest > 0)
    return ratios


def blocks(waveform: Waveform, frames: int) -> Iterator[Float64[np.ndarray, "block 512"]]:
    """Half the sum of the channels (so mono is halved) in frames, zeros after the end, some frames at a time."""
    for first in range(0, frames, BLOCK):
        count = min(BLOCK, frames - first)
        part = waveform.samples[:, first * FRAME : (first + count) * FRAME]
        block = np.zeros(count * FRAME)
        block[: part.shape[1]] = 0.5 * part.sum(axis=0, dtype=np.float64)
        yield block.reshape(count, FRAME)


def frame_features(waveform: Waveform, frames: int) -> Float64[np.ndarray, "31 frames"]:
    """The 31 values of FRAME_FEATURES for each of the first `frames` frames."""
    bank = filters(waveform.sample_rate)
    previous = np.zeros((BINS, 1))
    parts = []
    for block in blocks(waveform, frames):
        spectrum = np.fft.rfft(block * HAMMING).T
        power = np.ascontiguousarray((spectrum.real**2 + spectrum.imag**2) / FRAME**2)
        log_power = np.concatenate([previous, np.log(power + TINY)], axis=1)
        previous = log_power[:, -1:]
        chroma = bank.chroma @ power
        rows = [zero_crossings(block), centroid_and_rolloff(power), flux(log_power), mfcc(power, bank.mel)]
        parts.append(np.vstack([*rows, chroma, peak_ratios(chroma)]))
    return np.concatenate(parts, axis=1)


def texture(features: Float64[np.ndarray, "31 frames"]) -> Float64[np.ndarray, "62 frames"]:
    """Mean and population deviation over a sliding memory of 20 frames, which the first frame fills at the start."""
    frames = features.shape[1]
    padded = np.concatenate([np.repeat(features[:, :1], TEXTURE - 1, axis=1), features], axis=1)
    mean, square = np.zeros_like(features), np.zeros_like(features)
    for age in range(TEXTURE):
        mean += padded[:, age : age + frames]
    mean /= TEXTURE
    for age in range(TEXTURE):
        square += (padded[:, age : age + frames] - mean) ** 2
    return np.concatenate([mean, np.sqrt(square / TEXTURE)])


def file_features(waveform: Waveform, max_frames: int | None) -> Float64[np.ndarray, " 124"]:
    """The 124 values of a file: mean over its frames of the texture's 62 values, then their population deviation.

    A file of fewer than 4 frames is filled up with silent ones, each of which starts a texture memory of its own.
    """
    frames = -(-waveform.samples.shape[1] // FRAME)
    if max_frames is not None:
        frames = min(frames, max_frames)
    features = frame_features(waveform, max(frames, MIN_FRAMES))
    rows = texture(features[:, :frames])
    if frames < MIN_FRAMES:
        alone = features[:, frames:]
        rows = np.concatenate([rows, np.concatenate([alone, np.zeros_like(alone)])], axis=1)
    return np.concatenate([rows.mean(axis=1), rows.std(axis=1)])


@dataclass(frozen=True)
class Marsyas:
    """Backbone of the paper's baseline: features straight from the waveform, no picture and no network.

    Attributes:
        max_frames: frames of 512 samples used from the start of a file; None: all.
    """

    max_frames: int | None

    name: ClassVar[str] = "marsyas"
    input: ClassVar[Literal["waveform"]] = "waveform"
    weights: ClassVar[str] = "none"
    batch_size: ClassVar[int] = 8
    feature_names: ClassVar[list[str]] = [f"{statistic}_{name}" for statistic in STATISTICS for name in FRAME_FEATURES]

    def __post_init__(self) -> None:
        if self.max_frames is not None and self.max_frames < MIN_FRAMES:
            raise UserError(
                f"backbone.max_frames: got {self.max_frames}; expected {MIN_FRAMES} or more, or null for the whole "
                f"file. A frame has {FRAME} samples: 20000 are 464 s at 22.05 kHz"
            )

    def load(self, *_: object, **__: object) -> "Marsyas":
        """Ready as it is; takes what `Vision.load` takes."""
        return self

    @property
    def identity(self) -> dict[str, JSON]:
        """What determines the features of a clip."""
        return {"model": "marsyas single vector", "revision": 1, "max_frames": self.max_frames}

    def prepare(self, waveform: Waveform) -> Float32[np.ndarray, " 124"]:
        """The features of one clip; all the work is done here, in the worker's thread."""
        return file_features(waveform, self.max_frames).astype(np.float32)

    def embed(self, inputs: list[np.ndarray]) -> Float32[np.ndarray, "clips 124"]:
        """Stack prepared clips."""
        return np.stack(inputs)
