"""Weights that load into a network by names and shapes, and belong to another one."""

import json
from pathlib import Path

import pytest
import timm
import torch
from safetensors.torch import save_file
from torch import Tensor

from src.backbone.network import build
from src.backbone.state import read_lite0, write_safetensors
from src.backbone.weights import check_name
from src.errors import UserError

MODEL = "test_resnet"
SIZE_2015 = 95_628_359  # bytes of the published file


def entries(model: str = MODEL, classes: int = 1000) -> dict[str, Tensor]:
    state = timm.create_model(model, num_classes=classes).state_dict()
    return {key: value.contiguous() for key, value in state.items()}


def inception(outputs: int | None) -> dict[str, Tensor]:
    """Of the hundreds of entries of Inception v3, those that tell its weights apart: found before all others."""
    return {} if outputs is None else {"fc.weight": torch.zeros(outputs, 2048), "fc.bias": torch.zeros(outputs)}


@pytest.mark.parametrize("name", ["mine", "inception_v3.tf_in1k", "inception_v3"])
def test_inceptions_graph_of_2015_is_refused_by_its_classifier(name: str, tmp_path: Path) -> None:
    file = tmp_path / f"{name}.safetensors"
    save_file(inception(1008), file)  # as the published weights have, once converted
    for model in ("inception_v3", "inception_v3.tf_in1k"):
        with pytest.raises(UserError, match=r"2015-12-05.*1008"):
            build(model, str(file), 0, None)


def test_inceptions_graph_of_2015_is_refused_among_published_weights(tmp_path: Path) -> None:
    save_file(inception(1008), tmp_path / "inception_v3.tf_in1k.safetensors")
    with pytest.raises(UserError, match=r"2015-12-05.*1008"):
        build("inception_v3.tf_in1k", None, 0, tmp_path)


@pytest.mark.parametrize(("outputs", "warned"), [(1001, False), (None, True)])
def test_other_inceptions_are_not_taken_for_it_and_one_without_a_classifier_is_warned_of(
    outputs: int | None, warned: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    save_file(inception(outputs) | {"any": torch.zeros(1)}, tmp_path / "mine.safetensors")
    with pytest.raises(UserError, match="is missing") as caught:
        build("inception_v3", str(tmp_path / "mine.safetensors"), 0, None)
    assert "2015" not in str(caught.value)
    assert ("2015-12-05" in caplog.text) == warned


def test_an_inception_that_was_written_here_is_not_warned_of(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_safetensors(torch.nn.Linear(1, 1), tmp_path / "served.safetensors")
    with pytest.raises(UserError, match="is missing"):
        build("inception_v3", str(tmp_path / "served.safetensors"), 0, None)
    assert caplog.text == ""


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_inceptions_graph_of_2015_is_refused_by_its_name(suffix: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="2015-12-05") as caught:
        check_name(tmp_path / f"pt_inception-2015-12-05-6726825d{suffix}")
    assert "save_file" not in str(caught.value), "it must not be converted"


def test_another_file_of_the_same_size_is_not_taken_for_it(tmp_path: Path) -> None:
    file = tmp_path / "other.pth"
    with file.open("wb") as content:
        content.truncate(SIZE_2015)
    with pytest.raises(UserError, match="is a pickle") as caught:
        check_name(file)
    assert "2015" not in str(caught.value)


def test_the_installed_weights_of_lite0_fit_the_network_of_torch_style_padding_and_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "mine.safetensors"
    save_file({key: value.contiguous() for key, value in read_lite0().items()}, file)
    with pytest.raises(UserError, match=r"tf_efficientnet_lite0.*backbone\.model=tf_efficientnet_lite0"):
        build("efficientnet_lite0", str(file), 0, None)
    assert build("tf_efficientnet_lite0", str(file), 0, None).weights == "file mine 9329dfae"


@pytest.mark.parametrize(
    "name", ["tf_efficientnet_lite0.in1k", "tf_efficientnet_lite0", "tf_efficientnet_lite0-0aa007d2"]
)
def test_a_file_named_after_another_network_is_refused(name: str, tmp_path: Path) -> None:
    file = tmp_path / f"{name}.safetensors"
    save_file(entries("tf_efficientnet_lite0"), file)  # random: known by no digest
    with pytest.raises(UserError, match=r"set backbone=timm backbone\.model=tf_efficientnet_lite0"):
        build("efficientnet_lite0", str(file), 0, None)
    assert build("tf_efficientnet_lite0", str(file), 0, None).digest


def test_a_deprecated_name_is_read_as_todays(tmp_path: Path) -> None:
    file = tmp_path / "gluon_inception_v3.safetensors"
    save_file({"any": torch.zeros(1)}, file)
    with pytest.raises(UserError, match=r"set backbone=timm backbone\.model=inception_v3\.gluon_in1k"):
        build("inception_v3.tf_in1k", str(file), 0, None)


def test_other_weights_of_the_same_network_are_refused_since_their_pixels_may_be_scaled_otherwise(
    tmp_path: Path,
) -> None:
    file = tmp_path / "inception_v3.gluon_in1k.safetensors"
    save_file({"any": torch.zeros(1)}, file)
    with pytest.raises(UserError, match=r"set backbone=timm backbone\.model=inception_v3\.gluon_in1k"):
        build("inception_v3.tf_in1k", str(file), 0, None)


@pytest.mark.parametrize(
    ("config", "refused"),
    [
        ({"architecture": MODEL, "pretrained_cfg": {"tag": "r160_in1k"}}, False),
        ({"architecture": MODEL}, False),
        ({"architecture": "test_resnet2", "pretrained_cfg": {"tag": "in1k"}}, True),
        ({"architectures": ["ViTModel"]}, False),
        ("no JSON", False),
    ],
)
def test_the_hubs_configuration_beside_a_file_is_believed(config: object, refused: bool, tmp_path: Path) -> None:
    save_file(entries(), tmp_path / "model.safetensors")
    text = config if isinstance(config, str) else json.dumps(config)
    (tmp_path / "config.json").write_text(text)
    if refused:
        with pytest.raises(UserError, match=r"config\.json says.*backbone\.model=test_resnet2\.in1k"):
            build(MODEL, str(tmp_path / "model.safetensors"), 0, None)
    else:
        assert build(MODEL, str(tmp_path / "model.safetensors"), 0, None).weights.startswith("file model ")


def test_a_classifier_of_ones_own_is_not_called_published(tmp_path: Path) -> None:
    save_file(entries(classes=10), tmp_path / f"{MODEL}.r160_in1k.safetensors")
    with pytest.raises(UserError, match=r"10 outputs.* 1000"):
        build(MODEL, None, 0, tmp_path)
    (tmp_path / f"{MODEL}.r160_in1k.safetensors").rename(tmp_path / "mine.safetensors")
    assert build(MODEL, str(tmp_path / "mine.safetensors"), 0, None).weights.startswith("file mine ")


def test_weights_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    weights = entries()
    weights["layer1.0.conv1.weight"][0, 0] = float("nan")
    save_file(weights, tmp_path / "mine.safetensors")
    with pytest.raises(UserError, match=r"layer1\.0\.conv1\.weight.*not finite"):
        build(MODEL, str(tmp_path / "mine.safetensors"), 0, None)


def test_whole_numbers_are_no_weights(tmp_path: Path) -> None:
    """Quantised weights keep names and shapes; their scales would be lost."""
    weights = entries()
    weights["conv1.0.weight"] = (100 * weights["conv1.0.weight"]).to(torch.int8)
    save_file(weights, tmp_path / "mine.safetensors")
    with pytest.raises(UserError, match=r"conv1\.0\.weight has type torch\.int8"):
        build(MODEL, str(tmp_path / "mine.safetensors"), 0, None)


def test_weights_of_another_input_size_are_not_resampled(tmp_path: Path) -> None:
    """timm's converter would interpolate the position embeddings: another network than the published one."""
    larger = dict(timm.create_model("test_vit", img_size=192).state_dict())
    assert larger["pos_embed"].shape != entries("test_vit")["pos_embed"].shape
    save_file(larger, tmp_path / "mine.safetensors")
    with pytest.raises(UserError, match=r"pos_embed.*resampled"):
        build("test_vit", str(tmp_path / "mine.safetensors"), 0, None)


@pytest.mark.parametrize("prefix", ["module.", "_orig_mod."])
def test_the_prefix_of_a_wrapper_is_no_other_network(prefix: str, tmp_path: Path) -> None:
    weights = entries()
    save_file(weights, tmp_path / "mine.safetensors")
    plain = build(MODEL, str(tmp_path / "mine.safetensors"), 0, None)
    save_file({f"{prefix}{key}": value for key, value in weights.items()}, tmp_path / "wrapped.safetensors")
    assert build(MODEL, str(tmp_path / "wrapped.safetensors"), 0, None).digest == plain.digest
