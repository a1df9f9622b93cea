from math import isnan, sqrt
from pathlib import Path

import numpy as np
import pytest
from audit_sounds import dataset, write

from src.data.audio import Window
from src.prepare.audit.census import ClassCensus, Spread, census
from src.prepare.audit.measurement import measure

WHOLE = Window(0.0, None, None)


def surveyed(root: Path, window: Window = WHOLE) -> dict[str, ClassCensus]:
    found = dataset(root)
    clips, failed = measure(found, window, cache=root.parent / "cache", workers=2, progress=None)
    assert failed == {}
    return {one.label: one for one in census(found, clips, ["train"] * (len(clips) - 1) + ["test"], window)}


def sine(amplitude: float, hz: float = 1000.0, rate: int = 8000, seconds: float = 1.0) -> np.ndarray:
    return amplitude * np.cos(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)


def test_loudness_of_sines_is_amplitude_over_root_two(tmp_path):
    # Whole periods, sampled at their peaks and stored as float32: only the rounding of samples (2^-24) remains.
    amplitudes = {"a": (0.5, 0.25), "b": (0.1, 0.9)}
    for label, pair in amplitudes.items():
        for i, amplitude in enumerate(pair):
            write(tmp_path / "data" / label / f"{i}.wav", sine(amplitude), 8000, subtype="FLOAT")
    for label, one in surveyed(tmp_path / "data").items():
        first, second = amplitudes[label]
        assert one.rms.mean == pytest.approx((first + second) / 2 / sqrt(2), rel=1e-7)
        # Of two values, the standard deviation (n - 1) is their distance over root two.
        assert one.rms.std == pytest.approx(abs(first - second) / sqrt(2) / sqrt(2), rel=1e-7)
        assert one.rms_normalized.mean == pytest.approx(1 / sqrt(2), rel=1e-7)
        assert one.rms_normalized.std == pytest.approx(0, abs=1e-7)
        assert (one.peak.least, one.peak.most) == pytest.approx((min(first, second), max(first, second)), rel=1e-7)


def test_every_channel_counts(tmp_path):
    # Root mean square over both channels of amplitudes 0.8 and 0: 0.8 / sqrt(2) / sqrt(2).
    for label in "ab":
        stereo = np.stack([sine(0.8), np.zeros(8000)], axis=1)
        write(tmp_path / "data" / label / "0.wav", stereo, 8000, subtype="FLOAT")
    one = surveyed(tmp_path / "data")["a"]
    assert one.rms.mean == pytest.approx(0.4, rel=1e-7)
    assert one.channels == {2: 1}


def test_formats_and_lengths_are_counted_per_class(tmp_path):
    for i in range(3):
        write(tmp_path / "data" / "a" / f"{i}.wav", sine(0.5, seconds=1 + i), 8000, subtype="PCM_16")
    write(tmp_path / "data" / "a" / "x.flac", sine(0.5, rate=16000), 16000)
    write(tmp_path / "data" / "b" / "0.ogg", sine(0.5), 8000)
    found = surveyed(tmp_path / "data")
    a = found["a"]
    assert (a.clips, a.unreadable, a.parts) == (4, 0, {"train": 4})
    assert found["b"].parts == {"test": 1}
    assert a.codecs == {"WAV/PCM_16": 3, "FLAC/PCM_16": 1}
    assert a.sample_rates == {8000: 3, 16000: 1}
    assert found["b"].codecs == {"OGG/VORBIS": 1}
    assert (a.duration.least, a.duration.most, a.total) == (1.0, 3.0, 7.0)
    # 16 bits at 8 kHz, and a header of 44 bytes, which weighs most in the file of one second.
    assert a.bit_rate.most == pytest.approx(128 + 44 * 8 / 1000, rel=1e-12)


def test_silence_and_clipping(tmp_path):
    quiet = np.concatenate([sine(0.5, seconds=2), np.zeros(16000)])
    write(tmp_path / "data" / "a" / "quiet.wav", quiet, 8000)
    write(tmp_path / "data" / "a" / "silent.wav", np.zeros(8000), 8000)
    write(tmp_path / "data" / "b" / "clipped.wav", np.clip(sine(2.0), -1, 1), 8000)
    write(tmp_path / "data" / "b" / "touching.wav", np.append(sine(0.5, seconds=4), [1.0]), 8000)
    found = surveyed(tmp_path / "data")
    assert (found["a"].silent, found["b"].silent) == (1, 0)
    # One clip is silent throughout, the other for half its time, within the frames of 0.128 s that straddle the edge
    # or hear its click ring: three of the 63 that begin every 64 ms.
    assert found["a"].quiet == pytest.approx((1 + 0.5) / 2, abs=3 / 63 / 2)
    assert found["b"].quiet == 0
    assert (found["a"].clipped, found["b"].clipped) == (0, 1)
    assert found["a"].rms_normalized.least == 0


def test_clips_shorter_than_the_window_are_counted(tmp_path):
    for label in "ab":
        write(tmp_path / "data" / label / "long.wav", sine(0.5, seconds=3), 8000)
        write(tmp_path / "data" / label / "short.wav", sine(0.25, seconds=1), 8000)
    found = surveyed(tmp_path / "data", Window(0.5, 1.0, None))["a"]
    assert found.short == 1
    assert (found.duration.least, found.duration.most) == (0.5, 1.0)


def test_spread_of_one_value_has_no_deviation():
    spread = Spread.of([0.25])
    assert isnan(spread.std)
    assert (spread.mean, spread.quantiles) == (0.25, (0.25,) * 5)
