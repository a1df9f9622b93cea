"""Clips under a wrong label are the first to be looked at."""

from pathlib import Path

import numpy as np

from src.data.audio import AudioStats
from src.data.clip import Clip
from src.data.waveform import Waveform
from src.prepare.audit.fingerprint import fingerprint
from src.prepare.audit.measurement import Measured
from src.prepare.audit.suspects import suspects


def measured(label: str, number: int, hertz: float, group: str | None = None) -> Measured:
    """A tone near a frequency, in noise."""
    rng = np.random.default_rng([number, int(hertz)])
    time = np.arange(8000) / 8000
    samples = 0.3 * np.sin(2 * np.pi * hertz * rng.uniform(0.8, 1.2) * time) + 0.01 * rng.standard_normal(8000)
    sound = Waveform(samples[None].astype(np.float32), 8000)
    name = f"{label}/{number:02d}"
    stats = AudioStats(8000, 1, "PCM_16", 1.0, 1.0, 0.2, 0.3, 0.0)
    return Measured(Clip(Path(f"{name}.wav"), label, name, group), name, 16000, stats, fingerprint(sound))


def test_a_swapped_label_comes_first():
    clips = [measured("low", i, 200.0) for i in range(20)] + [measured("high", i, 1500.0) for i in range(20)]
    wrong = [measured("low", 50, 1500.0), measured("high", 51, 200.0)]
    found = suspects([*clips, *wrong])
    assert {(one.clip, one.likely) for one in found} >= {("low/50.wav", "high"), ("high/51.wav", "low")}
    assert {one.clip for one in found[:2]} == {"low/50.wav", "high/51.wav"}
    assert found[0].loss > np.log(2)
    assert suspects(clips) == ()


def test_few_clips_say_nothing():
    assert suspects([measured("low", i, 200.0) for i in range(20)]) == ()
    few = [measured("low", i, 200.0) for i in range(4)]
    assert suspects([*few, *(measured("high", i, 1500.0) for i in range(20))]) == ()
