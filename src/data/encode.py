"""Sound to bytes: what a person is given to listen to."""

import io

import numpy as np
import soundfile

from src.data.audio import resampled
from src.data.waveform import Waveform

_MPEG_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


def wav(waveform: Waveform) -> bytes:
    """A WAV file of 32-bit floats: every sample as it is, also beyond full scale."""
    stream = io.BytesIO()
    soundfile.write(stream, waveform.samples.T, waveform.sample_rate, format="WAV", subtype="FLOAT")
    return stream.getvalue()


def mp3(waveform: Waveform) -> bytes:
    """A small MP3 of one channel, which every browser plays: the mean of the channels, at a rate that MPEG has.

    Samples beyond full scale would be cut off, so a louder clip is made quieter as a whole.
    """
    rate = next((rate for rate in _MPEG_RATES if rate >= waveform.sample_rate), _MPEG_RATES[-1])
    mono = resampled(waveform, rate).mono("mean")
    peak = float(np.abs(mono).max())
    mono = mono / np.float32(peak) if peak > 1 else mono
    stream = io.BytesIO()
    soundfile.write(
        stream, mono, rate, format="MP3", subtype="MPEG_LAYER_III", compression_level=0.6, bitrate_mode="VARIABLE"
    )
    return stream.getvalue()
