import csv
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import soundfile
from hydra.utils import instantiate
from omegaconf import OmegaConf

from src.backbone import Backbone, marsyas
from src.backbone.marsyas import FRAME, FRAME_FEATURES, Marsyas, file_features, mel_triangles
from src.data.waveform import Waveform
from src.errors import UserError

GOLDEN = Path(__file__).parent / "golden_marsyas"
ROOT = Path(__file__).parents[2]


def golden() -> dict[str, dict[str, float]]:
    """The tool's own values by file, then by feature name."""
    with (GOLDEN / "golden.csv").open(newline="") as file:
        return {row.pop("file"): {name: float(text) for name, text in row.items()} for row in csv.DictReader(file)}


def read(name: str) -> Waveform:
    samples, rate = soundfile.read(GOLDEN / f"{name}.flac", dtype="float32", always_2d=True)
    return Waveform(np.ascontiguousarray(samples.T), rate)


def noise(samples: int, rate: int = 22050, channels: int = 1, seed: int = 0) -> Waveform:
    draws = np.random.default_rng(seed).normal(0, 0.1, (channels, samples))
    return Waveform(draws.astype(np.float32), rate)


def named(waveform: Waveform, max_frames: int | None = None) -> dict[str, float]:
    return dict(zip(Marsyas.feature_names, file_features(waveform, max_frames).tolist(), strict=True))


def test_golden_holds_all_twelve_and_the_same_names() -> None:
    values = golden()
    assert sorted(values) == sorted(path.stem for path in GOLDEN.glob("*.flac"))
    assert len(values) == 12
    assert all(list(row) == Marsyas.feature_names for row in values.values())


@pytest.mark.parametrize("name", sorted(golden()))
def test_equals_the_tool(name: str) -> None:
    expected = list(golden()[name].values())
    features = file_features(read(name), 20_000)
    # the tool's own rounding in deviations of nearly constant values is worth 1e-6 (worst seen: 0.03 of this tolerance)
    np.testing.assert_allclose(features, expected, rtol=1e-5, atol=1e-5)
    backbone = Marsyas(max_frames=20_000)
    np.testing.assert_allclose(backbone.embed([backbone.prepare(read(name))])[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("rate", [8000, 22050, 44100])
def test_silence(rate: int) -> None:
    features = named(Waveform(np.zeros((1, 30 * FRAME), np.float32), rate))
    expected = dict.fromkeys(Marsyas.feature_names, 0.0)
    # the first frame's flux is 256/257 (every bin jumps from 0 alike); the texture remembers it for 20 of 30 frames, at
    # first in all its 20 places, then in 19, 18, ..., 1
    share = np.concatenate([np.arange(20, 0, -1) / 20, np.zeros(10)])
    flux_mean, flux_std = 256 / 257 * share, 256 / 257 * np.sqrt(share * (1 - share))
    expected |= {"mean_mean_zcr": 1 / 512, "mean_mean_centroid": 0.5, "mean_mean_rolloff": 1.0}
    expected |= {"mean_mean_flux": flux_mean.mean(), "std_mean_flux": flux_mean.std()}
    expected |= {"mean_std_flux": flux_std.mean(), "std_std_flux": flux_std.std()}
    assert features == pytest.approx(expected, abs=1e-14)  # float64 sums of 20 and 30 values of size 1


def test_a_gain_scales_chroma_and_shifts_the_first_cepstrum_only() -> None:
    loud = noise(40 * FRAME)
    quiet = Waveform(loud.samples * np.float32(0.1), loud.sample_rate)  # -20 dB
    before, after = named(loud), named(quiet)
    for name, value in before.items():
        feature = name.split("_", 2)[2]
        expected = value * 0.01 if feature.startswith("chroma") else value
        if name == "mean_mean_mfcc0":
            expected -= 2 * 40 / np.sqrt(40)  # each of 40 log10 energies falls by 2: 12.65
        if feature != "flux":  # the first frame's flux is relative to a log spectrum of 0
            # rounding of the scaled samples to float32 is 6e-8 of each, the weakest bins a thousandth of the peak
            assert after[name] == pytest.approx(expected, rel=1e-4, abs=1e-6), name


def test_mono_is_half_of_two_equal_channels() -> None:
    mono = noise(20 * FRAME)
    both = Waveform(np.concatenate([mono.samples, mono.samples]), mono.sample_rate)
    doubled = Waveform(2 * mono.samples, mono.sample_rate)
    np.testing.assert_array_equal(file_features(both, None), file_features(doubled, None))  # powers of two are exact


@pytest.mark.parametrize(("hertz", "pitch"), [(440.0, "A"), (261.63, "C"), (369.99, "F#")])
def test_a_tone_has_its_pitch_class(hertz: float, pitch: str) -> None:
    time = np.arange(22050) / 22050
    features = named(Waveform((0.5 * np.sin(2 * np.pi * hertz * time))[None].astype(np.float32), 22050))
    chroma = {name: features[f"mean_mean_{name}"] for name in FRAME_FEATURES if name.startswith("chroma")}
    assert max(chroma, key=lambda name: chroma[name]) == f"chroma_{pitch}"
    # a tone well inside the band crosses zero twice a period; a frame of 512 sees 511 pairs, plus the tool's 1
    assert features["mean_mean_zcr"] == pytest.approx((1 + 511 * 2 * hertz / 22050) / 512, rel=0.02)
    assert features["mean_mean_centroid"] * 257 * 22050 / 512 == pytest.approx(hertz, rel=0.1)  # leakage pulls upwards


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_short_files_are_filled_up_to_four_frames_each_with_its_own_memory(frames: int) -> None:
    samples = frames * FRAME - 100  # the last frame is not full
    features = named(noise(samples))
    padded = np.zeros(frames * FRAME)
    padded[:samples] = noise(samples).samples[0]
    zcr = [(1 + np.count_nonzero(np.diff(np.sign(frame[frame != 0])))) / 512 for frame in padded.reshape(-1, FRAME)]
    memories = [[zcr[0]] * (19 - i) + zcr[: i + 1] for i in range(frames)] + [[1 / 512]] * (4 - frames)
    means, deviations = [np.mean(memory) for memory in memories], [np.std(memory) for memory in memories]
    assert features["mean_mean_zcr"] == pytest.approx(np.mean(means), rel=1e-12)
    assert features["std_mean_zcr"] == pytest.approx(np.std(means), rel=1e-12)
    assert features["mean_std_zcr"] == pytest.approx(np.mean(deviations), abs=1e-15)
    assert features["std_std_zcr"] == pytest.approx(np.std(deviations), abs=1e-15)


@pytest.mark.parametrize("rate", [8000, 22050])
def test_one_sample_is_enough(rate: int) -> None:
    features = file_features(Waveform(np.full((1, 1), 0.5, np.float32), rate), None)
    assert np.isfinite(features).all()


def test_the_cap_cuts_the_file() -> None:
    long = noise(300 * FRAME)
    cut = Waveform(long.samples[:, : 270 * FRAME], long.sample_rate)
    np.testing.assert_array_equal(Marsyas(max_frames=270).prepare(long), Marsyas(max_frames=None).prepare(cut))
    assert not np.array_equal(Marsyas(max_frames=None).prepare(long), Marsyas(max_frames=None).prepare(cut))


def test_triangles_have_unit_area_also_where_the_spectrum_is_mirrored() -> None:
    weights = mel_triangles(8000)
    # four bins a half base at least: a sampled triangle is off by at most (15.6 / 66.7)^2, about 5 %
    np.testing.assert_allclose(weights.sum(axis=1) * 8000 / FRAME, 1, atol=0.05)
    top = np.flatnonzero(weights[-1]) * 8000 / FRAME
    assert 8000 + 8000 / FRAME - top.max() == pytest.approx(5973.2, abs=16)  # its lower edge, to a bin
    assert not mel_triangles(44100)[:, 81:].any()  # 80 bins of 86 Hz reach the top edge, 6854 Hz


def test_the_same_bits_in_any_thread_and_block(monkeypatch: pytest.MonkeyPatch) -> None:
    backbone = Marsyas(max_frames=None)
    clips = [noise(700 * FRAME + seed, seed=seed) for seed in range(4)]
    alone = np.stack([file_features(clip, None) for clip in clips])
    with ThreadPoolExecutor(4) as pool:
        prepared = list(pool.map(backbone.prepare, clips))
    np.testing.assert_array_equal(backbone.embed(prepared), alone.astype(np.float32))
    np.testing.assert_array_equal(backbone.embed(prepared[2:3]), backbone.embed(prepared)[2:3])
    monkeypatch.setattr(marsyas, "BLOCK", 37)
    np.testing.assert_array_equal(np.stack([file_features(clip, None) for clip in clips]), alone)


def test_ten_minutes_need_little_memory() -> None:
    song = noise(600 * 22050)
    tracemalloc.start()
    Marsyas(max_frames=None).prepare(song)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 64e6  # bytes: 25840 frames of 31 and 62 float64 are 19 MB, and some copies; all pictures are 212 MB


def test_configuration_makes_it() -> None:
    settings = OmegaConf.load(ROOT / "conf" / "backbone" / "marsyas.yaml")
    backbone = instantiate({key: settings[key] for key in ("_target_", "max_frames")})
    assert backbone == Marsyas(max_frames=20_000)
    assert isinstance(backbone, Backbone)
    assert (backbone.input, backbone.weights) == ("waveform", "none")
    assert backbone.identity["max_frames"] == 20_000
    assert len(backbone.feature_names) == len(set(backbone.feature_names)) == 124


def test_too_small_a_cap_is_said() -> None:
    with pytest.raises(UserError, match=r"backbone\.max_frames: got 3; expected 4 or more, or null"):
        Marsyas(max_frames=3)
