"""Pretrained bundles of torchaudio, with small random networks against torchaudio's own call."""

import re
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torchaudio import pipelines
from torchaudio.models import wav2vec2_model

from src.backbone import Backbone, torchaudio_network
from src.backbone.torchaudio_bundle import BUNDLES, POOLINGS, TorchaudioBundle
from src.backbone.torchaudio_network import PooledLayer
from src.data.waveform import Waveform
from src.errors import UserError


def small() -> torch.nn.Module:
    """The architecture of HuBERT with three layers of 16 channels."""
    return wav2vec2_model(
        extractor_mode="group_norm",
        extractor_conv_layer_config=[(8, 10, 5), (8, 8, 4), (8, 4, 2)],
        extractor_conv_bias=False,
        encoder_embed_dim=16,
        encoder_projection_dropout=0.1,
        encoder_pos_conv_kernel=8,
        encoder_pos_conv_groups=2,
        encoder_num_layers=3,
        encoder_num_heads=2,
        encoder_attention_dropout=0.1,
        encoder_ff_interm_features=32,
        encoder_ff_interm_dropout=0.1,
        encoder_dropout=0.1,
        encoder_layer_norm_first=False,
        encoder_layer_drop=0.1,
        aux_num_out=None,
    )


@pytest.fixture(autouse=True)
def _small_networks(monkeypatch):
    for name in ("HUBERT_BASE", "WAVLM_LARGE"):
        monkeypatch.setitem(torchaudio_network.BUNDLES, name, small)


def settings(**changed) -> TorchaudioBundle:
    values = {"bundle": "HUBERT_BASE", "layer": 2, "pooling": "mean", "weights": "random", "weights_seed": 0}
    return TorchaudioBundle(**(values | changed))


@pytest.fixture
def clips() -> list[Waveform]:
    rng = np.random.default_rng(0)
    return [Waveform(rng.normal(0, 0.1, (1, n)).astype(np.float32), 16_000) for n in (4000, 9000, 1)]


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("layer", [1, 3])
def test_features_are_a_layers_frames_pooled_over_time(pooling, layer, clips):
    backbone = settings(pooling=pooling, layer=layer, weights_seed=4).load(workers=2)
    assert isinstance(backbone, Backbone)
    with torch.random.fork_rng():
        torch.manual_seed(4)
        network = small().eval()
    features = backbone.embed([backbone.prepare(clip) for clip in clips])
    assert features.shape == (3, len(backbone.feature_names))
    for clip, row in zip(clips, features, strict=True):
        samples = np.pad(clip.samples, ((0, 0), (0, max(0, 400 - clip.samples.shape[1]))))
        with torch.inference_mode():
            frames = network.extract_features(torch.from_numpy(samples))[0][layer - 1][0].numpy()
        pools = {"mean": [frames.mean(0)], "max": [frames.max(0)], "mean_max": [frames.mean(0), frames.max(0)]}
        # sums of float32 in another order
        np.testing.assert_allclose(row, np.concatenate(pools[pooling]), atol=1e-5)


def test_large_networks_scale_their_input(clips):
    samples = torch.from_numpy(clips[1].samples)
    network = small().eval()
    with torch.inference_mode():
        scaled = PooledLayer(network, 2, "mean", scaled=True)(samples)
        expected = PooledLayer(network, 2, "mean", scaled=False)((samples - samples.mean()) / samples.std(correction=0))
    # the small number that layer_norm adds to a variance of 0.01
    torch.testing.assert_close(scaled, expected, atol=1e-2, rtol=0)
    large, base = (settings(bundle=name).load() for name in ("WAVLM_LARGE", "HUBERT_BASE"))
    assert not np.allclose(*(each.embed([each.prepare(clips[1])]) for each in (large, base)))


def test_every_bundle_scales_its_input_as_torchaudio_says():
    documented = re.findall(r"- (\w+)\n", pipelines.WAVLM_LARGE.get_model.__doc__ + "\n")
    assert set(documented) & set(BUNDLES) == torchaudio_network.SCALED
    assert torchaudio_network.BUNDLES.keys() == set(BUNDLES)
    assert torchaudio_network.POOLINGS.keys() == set(POOLINGS)


def test_published_weights_come_from_the_folder_and_say_what_they_are(monkeypatch, tmp_path, clips):
    network = small().eval()
    asked = []

    class Bundle:
        def get_model(self, *, dl_kwargs):
            asked.append(dl_kwargs)
            return network

    monkeypatch.setattr(pipelines, "HUBERT_BASE", Bundle())
    backbone = settings(weights=None).load(tmp_path)
    assert asked == [{"model_dir": str(tmp_path), "weights_only": True, "progress": False}]
    assert backbone.weights.startswith("published HUBERT_BASE ")
    assert backbone.identity != settings().load().identity
    assert backbone.embed([backbone.prepare(clips[0])]).shape == (1, 16)


def test_weights_that_cannot_be_had_are_named(monkeypatch, tmp_path):
    class Bundle:
        def get_model(self, **_):
            raise URLError("no network")

    monkeypatch.setattr(pipelines, "HUBERT_BASE", Bundle())
    with pytest.raises(UserError, match=r"HUBERT_BASE.*backbone\.weights=random"):
        settings(weights=None).load(tmp_path)


def test_a_layer_that_is_not_there_is_refused():
    with pytest.raises(UserError, match=r"backbone\.layer: got 4.* 3 layers"):
        settings(layer=4).load()


@pytest.mark.parametrize(
    ("key", "value"),
    [("bundle", "HUBERT"), ("layer", 0), ("pooling", "sum"), ("weights", "x.pt"), ("weights_seed", -1)],
)
def test_impossible_settings_are_refused(key, value):
    with pytest.raises(UserError, match=rf"backbone\.{key}"):
        settings(**{key: value})
