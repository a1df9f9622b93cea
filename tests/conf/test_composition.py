"""Every option of every group, and every pair of options, composes and builds what it describes."""

import itertools
from pathlib import Path

import pytest
from toy import Toy

from src.backbone import Backbone
from src.backbone.auto import Decision
from src.config import build as configure
from src.errors import UserError
from src.experiment import Experiment

CONF = Path(__file__).resolve().parents[2] / "conf"
GROUPS = (
    "dataset",
    "preprocess",
    "spectrogram",
    "backbone",
    "head",
    "split",
    "trainer",
    "transfer",
    "tracking",
    "paths",
    "experiment",
)
OPTIONS = {group: sorted(path.stem for path in (CONF / group).glob("*.yaml")) for group in GROUPS}
# What has no default and must be given with an option.
NEEDED = {
    "dataset=folder": ["dataset.root=sounds"],
    "dataset=files": ["dataset.root=sounds"],
    "backbone=timm": ["backbone.model=resnet18.a1_in1k"],
}
# An experiment that gives weights, with what has none.
WEIGHTLESS = [(("backbone", name), ("experiment", "control_random")) for name in ("marsyas", "pixels")]
Choice = dict[str, str]


def pairs_of(choice: Choice) -> set[tuple[tuple[str, str], tuple[str, str]]]:
    return set(itertools.combinations([(group, choice[group]) for group in GROUPS if group in choice], 2))


def all_pairs() -> list[Choice]:
    """A few configurations that together hold every pair of options of two groups (greedy)."""
    options = {group: OPTIONS[group] + ["none"] * (group == "experiment") for group in GROUPS}
    # An experiment sweeps datasets itself: their pairs are its own, and tested below.
    left = {
        pair
        for one, other in itertools.combinations(GROUPS, 2)
        if {one, other} != {"dataset", "experiment"}
        for pair in itertools.product(
            [(one, name) for name in options[one]], [(other, name) for name in options[other]]
        )
    }
    left -= set(WEIGHTLESS)
    found = []
    while left:
        choice: Choice = dict(min(left))
        for group in GROUPS:
            if group not in choice:
                fitting = [n for n in options[group] if not pairs_of({**choice, group: n}) & set(WEIGHTLESS)]
                choice[group] = max(fitting, key=lambda name: len(pairs_of({**choice, group: name}) & left))
        left -= pairs_of(choice)
        found.append(choice)
    return found


def overrides(choice: Choice) -> list[str]:
    words = [f"{group}={name}" for group, name in choice.items() if name != "none"]
    return words + [more for word in words for more in NEEDED.get(word, [])]


@pytest.fixture
def built(compose, tmp_path, monkeypatch):
    """`built(overrides)`: the Experiment, without any weights; every setting's object is made and checked."""
    asked = []

    def loaded(settings, weights, threads):
        asked.append(settings)
        return Toy(name=type(settings).__name__)

    monkeypatch.setattr(configure, "_loaded", loaded)
    monkeypatch.setattr(configure, "decide", lambda *_, **__: Decision("efficientnet_lite0", None, ""))

    def build(words: list[str]) -> Experiment:
        cfg = compose(words)
        configure.build("tracking", configure.plain_group(cfg, "tracking"), configure.TrackingSettings)
        experiment = configure.experiment(cfg, tmp_path)
        assert len(asked) == 1
        assert callable(asked.pop().load)
        return experiment

    return build


@pytest.mark.slow
def test_every_pair_of_options(built):
    choices = all_pairs()
    assert len(choices) < 220  # 22 datasets times 6 backbones and little more
    for choice in choices:
        experiment = built(overrides(choice))
        # What was typed is what tables will say, and wins over what an experiment brings.
        if choice["dataset"] not in ("folder", "files"):
            assert experiment.dataset.title == choice["dataset"]
        assert experiment.split.name == choice["split"]
        assert experiment.pipeline.image_transform.preprocess.name == choice["preprocess"]


def test_the_pairs_are_all_there():
    covered = set().union(*(pairs_of(choice) for choice in all_pairs()))
    for one, other in itertools.combinations(GROUPS, 2):
        if {one, other} != {"dataset", "experiment"}:
            expected = set(itertools.product([(one, n) for n in OPTIONS[one]], [(other, n) for n in OPTIONS[other]]))
            assert expected - set(WEIGHTLESS) <= covered


@pytest.mark.parametrize("pair", WEIGHTLESS)
def test_weights_for_what_has_none_are_an_error(built, pair):
    with pytest.raises(UserError, match=r"backbone\.weights: there is no such setting"):
        built(overrides(dict(pair)))


@pytest.mark.parametrize("name", OPTIONS["experiment"])
def test_every_value_an_experiment_sweeps_composes(built, compose, name):
    params = compose([f"experiment={name}"], hydra=True).hydra.sweeper.params
    words = [[f"{key}={value}" for value in str(values).split(",")] for key, values in params.items() if key != "seed"]
    assert params.seed == "0,1,2,3,4"  # the paper averages five runs
    for one in itertools.zip_longest(*words):
        chosen = [word if word is not None else some[0] for word, some in zip(one, words, strict=True)]
        built([f"experiment={name}", *chosen])


@pytest.mark.parametrize(
    "name", ["dataset", "preprocess", "spectrogram", "backbone", "head", "split", "trainer", "transfer"]
)
def test_every_value_is_explained_in_its_file(name):
    for path in (CONF / name).glob("*.yaml"):
        text = path.read_text()
        assert text.startswith("# "), f"{path}: the first line says what the option is"
        if name in ("dataset", "transfer"):
            continue  # values that all of them share are explained in schema/
        for line in text.splitlines():
            explained = "#" in line or line.startswith(("_target_", "name:", "model:"))
            assert explained, f"{path}: {line}"


@pytest.mark.parametrize("name", ["pixels", "marsyas"])
def test_what_has_no_weights_loads_as_it_is(compose, tmp_path, name):
    experiment = configure.experiment(compose([f"backbone={name}", "dataset=genre"]), tmp_path)
    assert isinstance(experiment.pipeline.backbone, Backbone)
    assert experiment.pipeline.backbone.name == name
    assert experiment.pipeline.backbone.weights == "none"
