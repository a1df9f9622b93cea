"""How much of a recording reaches the network: silence, black images, and energy that is not drawn."""

import math
from dataclasses import astuple, dataclass

import numpy as np
from jaxtyping import Float32, UInt8

from src.data.audio import AudioStats
from src.data.waveform import Waveform
from src.spectrogram import Spectrogram

Image = UInt8[np.ndarray, "rows columns"] | UInt8[np.ndarray, "rows columns 3"]

# A deviation of 2 in 255 levels is under 1 % of white: what rounding to bytes leaves of a smooth image. A network whose
# inputs are scaled to unit deviation over photographs (about 58 levels) sees less than 0.04 of it.
_BLACK = 2
# Where more is lost than this, the image shows the smaller part of the recording.
_LOST = 0.5
# Channels that have nothing in common leave 1, and panned ones 1 or more; 0.02 (17 dB less) takes a correlation below
# -0.98 in stereo, as a reversed polarity has.
_CANCELLED = 0.02
_BLOCK = 4096  # samples transformed at once: bands of 11 Hz at 44.1 kHz


@dataclass(frozen=True)
class RenderStats:
    """What of a clip's sound is drawn, under one pipeline's settings.

    Attributes:
        silent: 1 where every sample that is drawn is 0, else 0.
        contrast: largest difference between the image and that of silence, in levels of 0 to 255; nan where the network
            takes the waveform.
        mono: power of the one channel that is drawn, relative to the power that channels without anything in common
            would leave; 1 for a single channel.
        lost: share of the recording's energy that is above the highest frequency drawn, by resampling or by the image's
            range; 0 where it is known to be less than half.
    """

    silent: float
    contrast: float
    mono: float
    lost: float

    def row(self) -> Float32[np.ndarray, " 4"]:
        """As it is kept in a cache, in the order of the attributes."""
        return np.array(astuple(self), np.float32)

    @classmethod
    def from_row(cls, row: Float32[np.ndarray, " 4"]) -> "RenderStats":
        """What `row` made."""
        return cls(*(float(value) for value in row))

    def warnings(self) -> list[str]:
        """Conditions that a reader of the result should know of; keys of `CONSEQUENCES`."""
        black = not self.silent and self.contrast <= _BLACK  # a comparison with nan is false
        kinds = {"silent": bool(self.silent), "black": black, "lost in mono": self.mono < _CANCELLED}
        return [kind for kind, holds in {**kinds, "cut off": self.lost > _LOST}.items() if holds]


ROW = 4
"""Length of `RenderStats.row`."""

CONSEQUENCES = {
    "silent": "silent: nothing to see",
    "black": (
        f"nearly black: their images differ from that of silence by at most {_BLACK} of 255 levels. Unless another "
        "warning tells the cause, they are too quiet for these settings (preprocess=normalized), or below the lowest "
        "frequency that is drawn"
    ),
    "lost in mono": (
        "lost in mono: their channels cancel each other (dataset.mono=left), or the first one is empty "
        "(dataset.mono=mean)"
    ),
    "cut off": (
        "cut off: more than half of their energy lies above the highest frequency that is drawn. Raise "
        "spectrogram.fmax, and dataset.sample_rate where it is set"
    ),
}
"""What each warning means, and what to do; completes `N clips are ...`."""


@dataclass(frozen=True)
class ClipStats:
    """What is known of a clip that was decoded and drawn: `audio` of its file, `rendered` of what the network takes."""

    audio: AudioStats
    rendered: RenderStats


def render_stats(
    waveform: Waveform, mono: str, spectrogram: Spectrogram | None, image: Image | None, facts: AudioStats | None
) -> RenderStats:
    """Compare what is drawn with the recording.

    Levels that preprocessing sets play no part: they scale all of a clip alike.

    Args:
        waveform: the decoded clip, before any preprocessing.
        mono: how its channels become one.
        spectrogram, image: what draws, and what it drew after preprocessing; None where the network takes the waveform.
        facts: of the clip before it was resampled; None: it was not.
    """
    drawn = waveform.mono(mono)
    with np.errstate(over="ignore", invalid="ignore"):  # of amplitudes above 1e19, which are then left without warnings
        power = float(np.mean([_power(channel) for channel in waveform.samples]))
        common = power / len(waveform.samples) if mono == "mean" else power
        kept = 1.0
        if facts is not None and facts.sample_rate != waveform.sample_rate and facts.rms > 0:
            kept = min(1.0, power / facts.rms**2)
        contrast = math.nan
        if spectrogram is not None and image is not None:
            contrast = _contrast(image, spectrogram, waveform.sample_rate)
            kept *= 1 - share_above(drawn, waveform.sample_rate, _top(spectrogram, waveform.sample_rate))
        return RenderStats(
            silent=float(not drawn.any()),
            contrast=contrast,
            mono=_power(drawn) / common if common > 0 and len(waveform.samples) > 1 else 1.0,
            lost=1 - kept,
        )


def _power(samples: Float32[np.ndarray, " samples"]) -> float:
    return float(np.dot(samples, samples)) / len(samples)


def _contrast(image: Image, spectrogram: Spectrogram, sample_rate: int) -> float:
    """Largest difference from the image of silence, whose columns are all the same."""
    column = spectrogram.picture(np.zeros(1, np.float32), sample_rate)[:, 0].astype(int)
    brightest, darkest = image.max(axis=1).astype(int), image.min(axis=1).astype(int)
    return float(max((brightest - column).max(), (column - darkest).max()))


def _top(spectrogram: Spectrogram, sample_rate: int) -> float:
    """Upper edge of the top row in Hz, as far above its centre as the next centre is below; infinite if unknown."""
    centres = spectrogram.frequencies(sample_rate)
    if centres is None or len(centres) < 2:
        return math.inf
    return float(2 * centres[0] - centres[1])


def share_above(signal: Float32[np.ndarray, " samples"], sample_rate: int, hz: float) -> float:
    """Share of a signal's energy, its mean left out, above a frequency; 0 where a bound shows that it is below half."""
    if hz >= sample_rate / 2:
        return 0.0
    mean = signal.mean()
    energy = max(0.0, float(np.dot(signal, signal)) - len(signal) * float(mean) ** 2)
    # Differences between neighbours multiply the energy at f by 4 sin^2(pi f / rate), which grows up to Nyquist.
    steps = signal[1:] - signal[:-1]
    if float(np.dot(steps, steps)) <= _LOST * 4 * math.sin(math.pi * hz / sample_rate) ** 2 * energy:
        return 0.0
    import scipy.fft  # here: checking a command's settings needs no computing

    blocks = np.append(signal - mean, np.zeros(-len(signal) % _BLOCK, np.float32)).reshape(-1, _BLOCK)
    spectra = scipy.fft.rfft(blocks)
    power = (spectra.real**2 + spectra.imag**2).sum(axis=0, dtype=np.float64)
    power[1:-1] *= 2  # for negative frequencies
    above = np.arange(len(power)) * sample_rate / _BLOCK > hz
    return float(power[above].sum() / power.sum())
