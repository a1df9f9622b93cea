import io

import numpy as np
import pytest
import soundfile

from src.data.encode import mp3, wav
from src.data.waveform import Waveform


def test_a_wav_keeps_every_bit_also_beyond_full_scale():
    samples = np.random.default_rng(0).normal(0, 2, (2, 500)).astype(np.float32)
    found, rate = soundfile.read(io.BytesIO(wav(Waveform(samples, 22050))), dtype="float32")
    assert rate == 22050
    np.testing.assert_array_equal(found.T, samples)


@pytest.mark.parametrize(("rate", "written"), [(8000, 8000), (44100, 44100), (10000, 11025), (96000, 48000)])
@pytest.mark.parametrize("gain", [0.3, 3.0])
def test_an_mp3_is_one_channel_at_a_rate_that_mpeg_has(rate, written, gain):
    time = np.arange(2 * rate) / rate
    tone = (gain * np.sin(2 * np.pi * 500 * time)).astype(np.float32)
    content = mp3(Waveform(np.stack([tone, tone]), rate))
    found, heard = soundfile.read(io.BytesIO(content))
    assert heard == written
    assert found.ndim == 1
    assert len(found) / written == pytest.approx(2, abs=0.06)  # padded to whole frames of 1152 samples
    middle = found[written // 2 : written]
    assert np.sqrt(2 * np.mean(middle**2)) == pytest.approx(min(gain, 1.0), rel=0.12)  # lossy: within a decibel
    assert len(content) < 40_000
