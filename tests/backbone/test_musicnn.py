"""musicnn against outputs of the package's own graph, run by TensorFlow."""

from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from src.backbone import Backbone, musicnn_network
from src.backbone.musicnn import MusicnnBackbone
from src.backbone.musicnn_network import FRAMES, SAMPLE_RATE, SHA256, load, patches
from src.data.waveform import Waveform
from src.errors import UserError

GOLDEN = Path(__file__).parent / "golden_musicnn"
SOUNDS = ("amchord_16k", "cello_16k", "logsweep_16k", "noise_16k", "sine440_16k")
installed = pytest.mark.skipif(find_spec("musicnn") is None, reason="the package with the weights is not installed")


def settings(**changed) -> MusicnnBackbone:
    values = {
        "model": "MSD_musicnn",
        "layer": "penultimate",
        "weights": None,
        "weights_seed": 0,
        "engine": "torch",
        "precision": "float32",
        "device": "cpu",
    }
    return MusicnnBackbone(**(values | changed))


@pytest.fixture(scope="module")
def golden():
    return dict(np.load(GOLDEN / "golden.npz"))


def sound(name: str) -> np.ndarray:
    samples, rate = soundfile.read(GOLDEN / f"{name}.flac", dtype="float32")
    assert rate == SAMPLE_RATE
    return samples


@pytest.mark.parametrize("name", SOUNDS)
def test_the_input_is_the_packages(name, golden):
    # transforms of 512 samples in float32, seen at 2e-5
    np.testing.assert_allclose(patches(sound(name)), golden[f"{name}/logmel"], atol=1e-4, rtol=0)


@installed
@pytest.mark.parametrize("model", SHA256)
@pytest.mark.parametrize("name", SOUNDS)
def test_the_outputs_are_the_packages(model, name, golden):
    inputs = torch.from_numpy(golden[f"{name}/logmel"])[:, None]
    network, pooled = load(model, "penultimate"), load(model, "pooled")
    with torch.inference_mode():
        outputs = {"penultimate": network(inputs), "tags": network.classify(network(inputs))}
        outputs |= {"max_pool": pooled(inputs)[:, ::2], "mean_pool": pooled(inputs)[:, 1::2]}
    for layer, output in outputs.items():
        expected = golden[f"{model}/{name}/{layer}"]
        # sums of thousands of products in float32, seen at 1.4e-5 of the largest value
        np.testing.assert_allclose(output.numpy(), expected, atol=1e-4 * np.abs(expected).max(), rtol=0)


@installed
@pytest.mark.parametrize("engine", ["torch", "openvino"])
@pytest.mark.parametrize("layer", ["penultimate", "pooled"])
def test_a_clips_features_are_the_mean_over_its_patches(engine, layer, golden):
    backbone = settings(engine=engine, layer=layer).load(workers=2)
    assert isinstance(backbone, Backbone)
    clips = [backbone.prepare(Waveform(sound(name)[None], SAMPLE_RATE)) for name in SOUNDS]
    features = backbone.embed(clips)
    assert features.shape == (5, len(backbone.feature_names))
    for name, row in zip(SOUNDS, features, strict=True):
        if layer == "penultimate":
            expected = golden[f"MSD_musicnn/{name}/penultimate"].mean(axis=0)
        else:
            expected = np.stack([golden[f"MSD_musicnn/{name}/{kind}_pool"].mean(axis=0) for kind in ("max", "mean")], 1)
        np.testing.assert_allclose(row, expected.ravel(), atol=1e-3 * np.abs(expected).max(), rtol=0)
    alone = np.concatenate([backbone.embed([clip]) for clip in clips[::-1]])[::-1]
    assert alone.tobytes() == features.tobytes()
    assert backbone.embed([]).shape == (0, len(backbone.feature_names))


def test_a_loud_clip_is_not_one_that_overflows():
    """The package's float16 made infinity of mel values above 6.55."""
    loud = patches(np.sign(sound("sine440_16k")))
    assert np.isfinite(loud).all()
    assert loud.max() > np.log10(1 + 65_504)


def test_short_clips_are_repeated_and_rests_left_out():
    rng = np.random.default_rng(0)
    samples = rng.normal(0, 0.1, SAMPLE_RATE).astype(np.float32)
    [patch] = patches(samples)
    period = 1 + len(samples) // 256
    np.testing.assert_array_equal(patch[period:], patch[: FRAMES - period])
    assert len(patches(np.tile(samples, 7))) == 2  # 438 frames
    assert len(patches(samples[:1])) == 1


def test_any_rate_and_any_number_of_channels(golden):
    backbone = settings(weights="random").load()
    stereo = Waveform(np.stack([sound("cello_16k"), np.zeros_like(sound("cello_16k"))]), SAMPLE_RATE)
    half = Waveform(0.5 * sound("cello_16k")[None], SAMPLE_RATE)
    np.testing.assert_array_equal(backbone.prepare(stereo), backbone.prepare(half))
    time = np.arange(3 * 44_100) / 44_100
    high, low = (
        backbone.prepare(Waveform(np.sin(2 * np.pi * 440 * time[: 3 * rate] * 44_100 / rate)[None].astype("f4"), rate))
        for rate in (44_100, 16_000)
    )
    # the tone's own band, away from the clip's ends
    np.testing.assert_allclose(high[0, 0, 50:140].max(), low[0, 0, 50:140].max(), atol=0.01)


def test_random_weights_are_a_control_of_their_own():
    one, same, other = (settings(weights="random", weights_seed=seed).load() for seed in (1, 1, 2))
    assert one.identity == same.identity != other.identity
    assert one.weights == "random seed 1"
    clip = one.prepare(Waveform(sound("noise_16k")[None], SAMPLE_RATE))
    assert one.embed([clip]).tobytes() == same.embed([clip]).tobytes() != other.embed([clip]).tobytes()


def test_another_file_and_a_missing_package_are_named(monkeypatch, tmp_path):
    class Spec:
        submodule_search_locations = (str(tmp_path),)

    monkeypatch.setattr(musicnn_network, "find_spec", lambda _: Spec)
    with pytest.raises(UserError, match="cannot be read"):
        settings().load()
    (tmp_path / "MSD_musicnn").mkdir()
    (tmp_path / "MSD_musicnn" / ".index").write_bytes(b"x")
    with pytest.raises(UserError, match="SHA-256"):
        settings().load()
    monkeypatch.setattr(musicnn_network, "find_spec", lambda _: None)
    with pytest.raises(UserError, match="--no-deps musicnn"):
        settings().load()


@pytest.mark.parametrize(
    ("key", "value"), [("model", "MSD_vgg"), ("layer", "tags"), ("weights", "x.npz"), ("weights_seed", -1)]
)
def test_impossible_settings_are_refused(key, value):
    with pytest.raises(UserError, match=rf"backbone\.{key}"):
        settings(**{key: value})
