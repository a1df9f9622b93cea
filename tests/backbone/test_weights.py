import time
from pathlib import Path

import pytest

from src.backbone import weights as hub
from src.backbone.weights import INCEPTION, Published, check_name, fetch, local
from src.errors import UserError


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".bin", ".pkl", ".ckpt"])
def test_pickles_are_refused_with_a_way_out(suffix: str) -> None:
    with pytest.raises(UserError, match=r"is a pickle.*download model\.safetensors of timm/inception_v3\.tf_in1k"):
        check_name(Path(f"inception{suffix}"))
    with pytest.raises(UserError, match=r"save_file\(torch\.load\(.*weights_only=True\), 'inception\.safetensors'\)"):
        check_name(Path(f"inception{suffix}"))


def test_another_word_is_no_file() -> None:
    with pytest.raises(UserError, match=r"got 'imagenet'; expected null .*, random, or the path of a"):
        check_name(Path("imagenet"))


def test_the_folder_comes_before_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cached = tmp_path / "cache" / "model.safetensors"
    monkeypatch.setattr(hub, "cached", lambda repository, filename: cached)
    assert local(INCEPTION, tmp_path) == cached
    beside = tmp_path / "inception_v3.tf_in1k.safetensors"
    beside.touch()
    assert local(INCEPTION, tmp_path) == beside
    assert fetch(INCEPTION, tmp_path) == beside


def test_offline_the_error_comes_at_once_and_says_what_to_do(tmp_path: Path) -> None:
    start = time.perf_counter()
    with pytest.raises(UserError) as caught:
        fetch(INCEPTION, tmp_path)
    assert time.perf_counter() - start < 2
    for part in (
        "not on this machine",
        "HF_HUB_OFFLINE",
        "download model.safetensors of timm/inception_v3.tf_in1k from the Hugging Face hub",
        f"backbone.weights={tmp_path / 'inception_v3.tf_in1k.safetensors'}",
        "backbone=efficientnet_lite0",
        "backbone.weights=random",
    ):
        assert part in str(caught.value)


def test_a_hub_that_does_not_answer_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(hub.huggingface_hub, "get_hf_file_metadata", lambda url, timeout: time.sleep(5))
    start = time.perf_counter()
    monkeypatch.setattr(hub, "PATIENCE", 0.1)
    assert not hub.reachable("timm/x", "model.safetensors")
    assert time.perf_counter() - start < 2


def test_a_hub_that_refuses_is_not_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(url: str, timeout: float) -> None:
        raise ConnectionError("no route")

    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(hub.huggingface_hub, "get_hf_file_metadata", refuse)
    monkeypatch.setattr(hub, "download_from_hub", lambda *_: pytest.fail("a file was fetched"))
    with pytest.raises(UserError, match="does not answer, or does not have them"):
        fetch(INCEPTION, tmp_path)


def test_what_the_hub_has_is_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(hub, "reachable", lambda repository, filename: True)
    monkeypatch.setattr(hub, "download_from_hub", lambda *file: asked.append(file) or tmp_path / "model.safetensors")
    assert fetch(INCEPTION, None) == tmp_path / "model.safetensors"
    assert asked == [("timm/inception_v3.tf_in1k", "model.safetensors")]


def test_a_broken_download_is_told_as_such(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def break_off(repository: str, filename: str) -> Path:
        raise ConnectionResetError("peer went away")

    monkeypatch.setattr(hub, "reachable", lambda repository, filename: True)
    monkeypatch.setattr(hub, "download_from_hub", break_off)
    with pytest.raises(UserError, match=r"broke off \(ConnectionResetError: peer went away\)\. Try again, or download"):
        fetch(INCEPTION, tmp_path)


def test_a_model_that_is_not_on_the_hub(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"publishes no weights of mine on the hub; give backbone\.weights=PATH"):
        fetch(Published("mine", ""), tmp_path)


def test_the_hub_is_told_nothing_about_this_machine() -> None:
    assert hub.constants.HF_HUB_DISABLE_TELEMETRY
