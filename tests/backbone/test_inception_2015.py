"""The graph of 2015-12-05: its nine blocks, its weights, and that neither network takes the other's file."""

import hashlib
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file

from src.backbone import network
from src.backbone.inception_2015 import FORWARDS
from src.backbone.network import build, look_up
from src.backbone.weights import INCEPTION_2015, PinnedFile, check_name
from src.errors import UserError


@pytest.fixture(scope="module")
def entries() -> dict[str, torch.Tensor]:
    """Random weights with a classifier, as the published file has."""
    module = timm.create_model("inception_2015", num_classes=INCEPTION_2015.classes)
    return {name: value.contiguous() for name, value in module.state_dict().items()}


@pytest.fixture
def published(entries, tmp_path, monkeypatch) -> PinnedFile:
    """A stand-in for the published file, in tmp_path/server."""
    file = tmp_path / "server" / INCEPTION_2015.name
    file.parent.mkdir()
    torch.save(entries, file)
    content = file.read_bytes()
    stand_in = replace(INCEPTION_2015, size=len(content), sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setattr(network, "INCEPTION_2015", stand_in)
    return stand_in


def neighbours(maps: np.ndarray, fill: float) -> np.ndarray:
    """The 3 x 3 neighbours of each cell, `fill` beyond the border; the last axis counts them."""
    padded = np.pad(maps, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=fill)
    return np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3)).reshape(*maps.shape, 9)


@pytest.fixture(scope="module")
def blocks() -> tuple[torch.nn.Module, torch.nn.Module]:
    """This network and timm's, with the same weights, in float64."""
    ours, theirs = (timm.create_model(model).double().eval() for model in ("inception_2015", "inception_v3"))
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


@pytest.mark.parametrize("name", FORWARDS)
def test_a_block_pools_as_tensorflow_does(name, blocks):
    """Against the two pooling rules in float64; all other branches are those of timm's block."""
    ours, theirs = (getattr(module, name) for module in blocks)
    channels = ours.branch1x1.conv.in_channels
    maps = torch.randn(1, channels, 5, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    if name == "Mixed_7c":
        pooled = neighbours(maps.numpy(), -np.inf).max(axis=-1)
    else:
        pooled = np.nanmean(neighbours(maps.numpy(), np.nan), axis=-1)
    with torch.inference_mode():
        result, timms = ours(maps), theirs(maps)
        branch = ours.branch_pool(torch.from_numpy(pooled))
    own = branch.shape[1]
    # sums of nine numbers in float64, in another order
    torch.testing.assert_close(result[:, -own:], branch, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(result[:, :-own], timms[:, :-own], rtol=1e-12, atol=1e-12)
    assert not torch.allclose(result[:, -own:], timms[:, -own:])


def test_it_has_the_entries_of_timms_network_and_gives_2048_features(blocks):
    ours, theirs = blocks
    assert ours.state_dict().keys() == theirs.state_dict().keys()
    card = look_up("inception_2015")
    assert (card.size, card.mean, card.deviation) == (299, (128.0,) * 3, (128.0,) * 3)


def test_the_file_is_fetched_once_and_named(published, tmp_path, monkeypatch, entries):
    monkeypatch.delenv("HF_HUB_OFFLINE")

    class Silent(SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Silent, directory=tmp_path / "server")) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/{published.name}"
        monkeypatch.setattr(network, "INCEPTION_2015", replace(published, addresses=(address,)))
        assert replace(published, addresses=(address,)).reachable()
        assert not replace(published, addresses=(f"{address}.gone",)).reachable()
        built = build("inception_2015", None, 0, tmp_path / "weights")
        server.shutdown()
    again = build("inception_2015", None, 0, tmp_path / "weights")
    assert built.digest == again.digest
    assert again.weights == f"imagenet inception_2015 {again.digest[:8]}"
    assert torch.equal(again.module.Mixed_7c.branch_pool.conv.weight, entries["Mixed_7c.branch_pool.conv.weight"])


def test_another_file_of_that_name_is_refused(published, tmp_path):
    file = tmp_path / published.name
    file.write_bytes(b"x" * 1000)
    with pytest.raises(UserError, match="SHA-256"):
        build("inception_2015", str(file), 0, None)
    with pytest.raises(UserError, match="not the published file"):
        build("inception_2015", None, 0, tmp_path)


def test_without_a_network_it_says_what_to_fetch(tmp_path):
    with pytest.raises(UserError, match=r"switched off.*github\.com/mseitzer"):
        build("inception_2015", None, 0, tmp_path)


def test_neither_network_takes_the_others_file(entries, tmp_path):
    file = tmp_path / "mine.safetensors"
    save_file(entries, file)
    with pytest.raises(UserError, match="backbone=inception_2015"):
        build("inception_v3", str(file), 0, None)
    ours = build("inception_2015", str(file), 0, None)
    assert ours.weights.startswith("file mine ")
    for outputs in (1000, None):
        others = {key: value for key, value in entries.items() if not key.startswith("fc.")}
        if outputs:
            others |= {"fc.weight": torch.zeros(outputs, 2048), "fc.bias": torch.zeros(outputs)}
        save_file(others, file)
        with pytest.raises(UserError, match="backbone=inception_v3"):
            build("inception_2015", str(file), 0, None)


def test_its_file_may_be_given_to_it_and_to_no_other_network():
    check_name(Path(INCEPTION_2015.name), "inception_2015")
    for model in ("", "inception_v3.tf_in1k"):
        with pytest.raises(UserError, match="2015-12-05"):
            check_name(Path(INCEPTION_2015.name), model)


def test_its_identity_and_scaling_are_its_own(settings):
    loaded = settings(model="inception_2015").load()
    assert (loaded.name, loaded.identity["model"]) == ("inception_2015", "inception_2015")
    assert loaded.scaling == ((128.0,) * 3, (128.0,) * 3)
    assert len(loaded.feature_names) == 2048
