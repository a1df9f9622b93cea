"""Perturbed sound: each kind as a function of a clip and a strength, the same result every time."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from importlib.metadata import version
from typing import Any

import numpy as np
from jaxtyping import Float32

from src.data.audio import resampled
from src.data.waveform import Waveform

UNDISTURBED = "undisturbed"


@dataclass(frozen=True)
class Kind:
    """One kind of disturbance, as a person is told of it.

    Attributes:
        name: as in conf/robustness.yaml. title: of its curve. unit: of its values.
        neutral: the value that changes nothing; None: there is none.
        low, high: values that are possible.
        ratio: whether equal ratios of values, not equal differences, look alike.
        scale: steps of MLflow are whole numbers: a value times this.
    """

    name: str
    title: str
    unit: str
    neutral: float | None
    low: float
    high: float
    ratio: bool
    scale: int = 1


KINDS = {
    kind.name: kind
    for kind in (
        Kind("level", "level", "dB", 0.0, -120.0, 0.0, ratio=False),
        Kind("noise", "white noise", "dB SNR", None, -60.0, 120.0, ratio=False),
        Kind("mp3", "MP3", "kbit/s", None, 8.0, 320.0, ratio=True),
        Kind("lowpass", "low-pass", "Hz", None, 10.0, 100_000.0, ratio=True),
        Kind("speed", "speed", "times", 1.0, 0.1, 10.0, ratio=True, scale=100),
        Kind("length", "share of the clip kept", "", 1.0, 0.001, 1.0, ratio=True, scale=1000),
    )
}


MP3_KBIT = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160, 192, 224, 256, 320)
_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_MP3_SHORTEST = 0.1  # seconds that its encoder needs
_STEEP = 24  # dB an octave
_FINEST_SPEED = 100  # largest denominator: between two whole numbers the resampler's filters stay few


@dataclass(frozen=True)
class Disturbance:
    """One kind at one strength.

    Attributes:
        kind: of `KINDS`. value: in its unit. seed: of what is random; a clip gets the same at every strength.
    """

    kind: str
    value: float
    seed: int

    def __call__(self, waveform: Waveform) -> Waveform:
        """The clip disturbed; its sample rate and channels stay."""
        return _WAYS[self.kind](waveform, self.value, self.seed)

    def key(self) -> dict[str, Any]:
        """What determines its bits, as JSON."""
        key: dict[str, Any] = {"kind": self.kind, "value": self.value}
        if self.kind == "noise":
            key["seed"] = self.seed
        return key | {name: version(name) for name in _LIBRARIES.get(self.kind, ())}


_LIBRARIES: Mapping[str, tuple[str, ...]] = {
    "level": ("audiomentations",),
    "lowpass": ("audiomentations", "scipy"),
    "mp3": ("audiomentations", "fast-mp3-augment"),
    "speed": ("torchaudio",),
}


def _level(waveform: Waveform, decibels: float, _: int) -> Waveform:
    from audiomentations import Gain

    return _transformed(Gain(p=1.0), waveform, amplitude_ratio=10 ** (decibels / 20))


def _noise(waveform: Waveform, snr: float, seed: int) -> Waveform:
    """White Gaussian noise, independent in every channel, `snr` dB below the clip's RMS over all channels."""
    samples = waveform.samples
    content = int.from_bytes(hashlib.sha256(samples.tobytes()).digest()[:8], "big")
    noise = np.random.default_rng([seed, content]).standard_normal(samples.shape, dtype=np.float32)
    rms = float(np.sqrt(np.mean(np.square(samples, dtype=np.float64))))
    return Waveform(samples + noise * np.float32(rms * 10 ** (-snr / 20)), waveform.sample_rate)


def _lowpass(waveform: Waveform, hertz: float, _: int) -> Waveform:
    """Butterworth, 24 dB an octave; nothing where the limit is at Nyquist or above."""
    from audiomentations import LowPassFilter

    if hertz >= waveform.sample_rate / 2:
        return waveform
    return _transformed(LowPassFilter(p=1.0), waveform, cutoff_freq=hertz, rolloff=_STEEP)


def _mp3(waveform: Waveform, kbit: float, _: int) -> Waveform:
    """Through LAME and back, in step with the clip; at the next rate that MPEG has where the clip's own is none."""
    from audiomentations import Mp3Compression

    rate = next((rate for rate in _MP3_RATES if rate >= waveform.sample_rate), _MP3_RATES[-1])
    sound = resampled(waveform, rate).samples
    padded = np.pad(sound, ((0, 0), (0, max(0, round(_MP3_SHORTEST * rate) + 1 - sound.shape[1]))))
    parts = [padded] if len(padded) <= 2 else list(padded[:, None])  # MP3 knows one channel and two
    transform = Mp3Compression(p=1.0)
    coded = [_transformed(transform, Waveform(part, rate), bitrate=round(kbit)).samples for part in parts]
    back = resampled(Waveform(np.concatenate(coded), rate), waveform.sample_rate).samples
    return Waveform(_cut(back, waveform.samples.shape[1]), waveform.sample_rate)


def _speed(waveform: Waveform, times: float, _: int) -> Waveform:
    """As a tape that runs faster: pitch and tempo together."""
    share = Fraction(times).limit_denominator(_FINEST_SPEED)
    played = resampled(Waveform(waveform.samples, share.numerator), share.denominator)
    return Waveform(np.ascontiguousarray(played.samples), waveform.sample_rate)


def _length(waveform: Waveform, share: float, _: int) -> Waveform:
    """The clip's beginning."""
    kept = max(1, round(share * waveform.samples.shape[1]))
    return Waveform(np.ascontiguousarray(waveform.samples[:, :kept]), waveform.sample_rate)


def _transformed(transform: Any, waveform: Waveform, **parameters: int | float) -> Waveform:
    """A transform of audiomentations with its parameters given."""
    transform.parameters = {"should_apply": True, **parameters}
    transform.freeze_parameters()
    changed = np.asarray(transform(waveform.samples, waveform.sample_rate), np.float32)
    return Waveform(np.ascontiguousarray(changed), waveform.sample_rate)


def _cut(samples: Float32[np.ndarray, "channels samples"], count: int) -> Float32[np.ndarray, "channels count"]:
    """So many samples; silence where there are fewer."""
    lacking = max(0, count - samples.shape[1])
    return np.ascontiguousarray(np.pad(samples, ((0, 0), (0, lacking)))[:, :count])


_WAYS: Mapping[str, Callable[[Waveform, float, int], Waveform]] = {
    "level": _level,
    "noise": _noise,
    "mp3": _mp3,
    "lowpass": _lowpass,
    "speed": _speed,
    "length": _length,
}
