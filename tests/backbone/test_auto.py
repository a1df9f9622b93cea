import time
from pathlib import Path

import pytest

from src.backbone import weights as hub
from src.backbone.auto import Auto, Decision, decide
from src.backbone.weights import INCEPTION_2015
from src.errors import UserError

FILE = "inception_v3.tf_in1k.safetensors"
NOTHING = {
    "weights_seed": 0,
    "engine": "auto",
    "precision": "float32",
    "device": "auto",
    "scaling": None,
    "size": None,
    "antialias": True,
}


def auto(**changed: object) -> Auto:
    return Auto(**({"weights": None} | NOTHING | changed))  # type: ignore[arg-type]  # values of any type are what is tried


def test_a_given_file_means_the_papers_network(tmp_path: Path) -> None:
    assert decide("my.safetensors", tmp_path, allow_network=False) == Decision(
        "inception_v3", Path("my.safetensors"), ""
    )


def test_a_file_in_the_weights_folder(tmp_path: Path) -> None:
    (tmp_path / FILE).touch()
    assert decide(None, tmp_path, allow_network=False) == Decision("inception_v3", tmp_path / FILE, "")


def test_the_network_of_2015_is_preferred(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / FILE).touch()
    monkeypatch.setattr(hub.PinnedFile, "reachable", lambda file: True)
    (tmp_path / "empty").mkdir()
    assert decide(None, tmp_path / "empty", allow_network=True) == Decision("inception_2015", None, "")
    (tmp_path / INCEPTION_2015.name).touch()
    assert decide(None, tmp_path, allow_network=False) == Decision("inception_2015", None, "")
    chosen = auto().resolve(tmp_path, allow_network=False)
    assert (chosen.model, chosen.weights) == ("inception_2015", None)


def test_a_file_in_the_hubs_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "cached", lambda repository, filename: Path("/cache/model.safetensors"))
    assert decide(None, tmp_path, allow_network=False) == Decision("inception_v3", None, "")


def test_a_hub_that_answers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub.PinnedFile, "reachable", lambda file: False)
    monkeypatch.setattr(hub, "reachable", lambda repository, filename: repository == "timm/inception_v3.tf_in1k")
    assert decide(None, tmp_path, allow_network=True) == Decision("inception_v3", None, "")
    assert decide(None, tmp_path, allow_network=False).config == "efficientnet_lite0"


def test_offline_it_is_lite0_at_once_and_says_why(tmp_path: Path) -> None:
    start = time.perf_counter()
    decision = decide(None, tmp_path, allow_network=True)
    assert time.perf_counter() - start < 1
    assert decision.config == "efficientnet_lite0"
    assert decision.weights is None
    for part in (
        str(tmp_path),
        "is switched off",
        "EfficientNet-Lite0 is used instead",
        "pt_inception-2015-12-05-6726825d.pth",
        "not the paper's",
    ):
        assert part in decision.warning


def test_a_hub_that_is_silent_costs_three_seconds_at_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert hub.PATIENCE <= 3
    monkeypatch.setattr(hub, "PATIENCE", 0.2)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    monkeypatch.setattr(hub.requests, "head", lambda *_, **__: time.sleep(30))
    monkeypatch.setattr(hub.huggingface_hub, "get_hf_file_metadata", lambda url, timeout: time.sleep(30))
    start = time.perf_counter()
    decision = decide(None, tmp_path, allow_network=True)
    assert time.perf_counter() - start < 1
    assert "does not answer" in decision.warning


def test_the_settings_go_to_the_chosen_network(tmp_path: Path) -> None:
    lite0 = auto(precision="bfloat16", size=192).resolve(tmp_path, allow_network=False)
    assert (lite0.model, lite0.weights) == ("tf_efficientnet_lite0", None)
    assert (lite0.precision, lite0.size) == ("bfloat16", 192)
    (tmp_path / FILE).touch()
    inception = auto(antialias=False).resolve(tmp_path, allow_network=False)
    assert (inception.model, inception.weights) == ("inception_v3.tf_in1k", str(tmp_path / FILE))
    assert not inception.antialias


def test_a_random_control_has_the_architecture_of_its_counterpart(tmp_path: Path) -> None:
    control = auto(weights="random", weights_seed=4).resolve(tmp_path, allow_network=False)
    assert (control.model, control.weights, control.weights_seed) == ("tf_efficientnet_lite0", "random", 4)
    (tmp_path / FILE).touch()
    control = auto(weights="random").resolve(tmp_path, allow_network=False)
    assert (control.model, control.weights) == ("inception_v3.tf_in1k", "random")


def test_a_given_file_is_kept(tmp_path: Path) -> None:
    chosen = auto(weights="my.safetensors").resolve(tmp_path, allow_network=False)
    assert (chosen.model, chosen.weights) == ("inception_v3.tf_in1k", "my.safetensors")


def test_a_decision_can_be_kept_and_used_again() -> None:
    assert auto().settle(Decision("inception_v3", None, "")).model == "inception_v3.tf_in1k"
    assert auto().settle(Decision("efficientnet_lite0", None, "why")).model == "tf_efficientnet_lite0"


@pytest.mark.parametrize(("key", "value"), [("engine", "fast"), ("weights", "w.pth"), ("size", -1)])
def test_impossible_settings_are_refused(key: str, value: object) -> None:
    with pytest.raises(UserError, match=r"backbone\.|is a pickle"):
        auto(**{key: value})
