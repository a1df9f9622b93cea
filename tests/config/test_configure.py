"""The door: settings of the wrong name, type or value are told by name; what is right becomes objects."""

from pathlib import Path

import pytest
from hydra.errors import HydraException
from toy import Toy

from src.config import build
from src.errors import UserError

FOLDER = ["dataset=folder", "dataset.root=sounds", "backbone=pixels", "spectrogram=waveform"]


@pytest.fixture
def configured(compose, tmp_path):
    def experiment(*words):
        return build.experiment(compose([*FOLDER, *words]), tmp_path)

    return experiment


WRONG = [
    ("seed=abc", r"seed: got 'abc'; expected a whole number, 0 or more"),
    ("seed=-1", r"seed: got -1; expected a whole number"),
    ("seed=1.5", r"seed: got 1\.5; expected a whole number"),
    ("seed=true", r"seed: got True; expected a whole number"),
    ("seed=null", r"seed: got None; expected a whole number"),
    ("workers=0", r"workers: got 0; expected 1 or more, or null for one per core"),
    ("workers=two", r"workers: got 'two'"),
    ("trainer.max_steps=foo", r"trainer\.max_steps='foo': input should be a valid integer"),
    ("trainer.max_steps=0", r"trainer\.max_steps=0: expected a whole number of at least 1"),
    ("trainer.max_steps=true", r"trainer\.max_steps: got true, which is neither a number nor a text"),
    ("trainer.max_steps=2.5", r"trainer\.max_steps=2\.5: input should be a valid integer"),
    ("trainer.accelerator=tpu", r"trainer\.accelerator=tpu: expected auto, cpu or gpu"),
    ("head.learning_rate=fast", r"head\.learning_rate='fast': input should be a valid number"),
    ("head.learning_rate=false", r"head\.learning_rate: got false"),
    ("head.learning_rate=-1", r"head\.learning_rate"),
    ("head.standardize=perhaps", r"head\.standardize='perhaps': input should be a valid boolean"),
    ("dataset.start=soon", r"dataset\.start='soon': input should be a valid number"),
    ("dataset.start=-1", r"dataset\.start: got -1\.0; expected seconds"),
    ("dataset.duration=0", r"dataset\.duration: got 0\.0"),
    ("dataset.mono=right", r"dataset\.mono='right': input should be 'mean' or 'left'"),
    ("dataset.on_unreadable=ignore", r"dataset\.on_unreadable='ignore': input should be 'fail' or 'skip'"),
    ("dataset.include_classes=rock", r"dataset\.include_classes='rock': input should be a valid list"),
    (
        "dataset.include_classes=[1,b]",
        r"""dataset\.include_classes\.0=1: a text .* quotes, "dataset\.include_classes=\['1',\.\.\.\]\"""",
    ),
    ("dataset.root=2024", r"""dataset\.root=2024: a text that looks .* needs quotes, "dataset\.root='2024'\""""),
    ("dataset.classes=[a,b]", r"dataset\.classes=\['a', 'b'\]: input should be a valid dictionary"),
    ("dataset.clips_per_class=many", r"dataset\.clips_per_class"),
    ("dataset.source=web", r"dataset\.source: got 'web'; expected one of auto, recordings"),
    ("dataset.label=mood", r"dataset\.label: got 'mood'; expected one of class, loudness"),
    ("preprocess.levels_dbfs=0", r"preprocess\.levels_dbfs=0: input should be a valid list"),
    ("preprocess.levels_dbfs=[3]", r"preprocess\.levels_dbfs: got \[3\.0\]; expected levels of at most 0 dBFS"),
    ("preprocess.levels_dbfs=[loud]", r"preprocess\.levels_dbfs\.0='loud': input should be a valid number"),
    ("spectrogram.height=1", r"spectrogram\.height: got 1; expected 2 rows or more"),
    ("backbone.rows=0", r"backbone\.rows: got 0; expected from 1 to 1024"),
    ("split=kfold split.folds=2", r"split\.folds=2: expected at least 3"),
    ("split.seed=x", r"split\.seed='x': input should be a valid integer"),
    ("paths.data=null", r"paths\.data=None: input should be a valid string"),
    ("+dataset.extra=1", r"dataset\.extra: there is no such setting; expected one of base, classes"),
    ("+dataset.strat=1", r"dataset\.strat: there is no such setting; did you mean dataset\.start"),
    ("+sede=1", r"sede: there is no such setting; did you mean seed"),
    ("~dataset.start", r"dataset\.start: missing"),
    ("~seed", r"seed: missing"),
    ("~trainer", r"trainer: missing"),
    (
        "backbone.standardize_features.published=no",
        r"backbone\.standardize_features\.published: got 'no'; expected true",
    ),
    ("dataset.root=???", r"dataset\.root: must be given, e\.g\. dataset\.root="),
]


@pytest.mark.parametrize(("words", "told"), WRONG, ids=[words for words, _ in WRONG])
def test_a_wrong_value_is_told_by_its_name(configured, words, told):
    with pytest.raises(UserError, match=told):
        configured(*words.split())


@pytest.mark.parametrize(
    ("word", "named"),
    [("datset=x", "datset"), ("dataset.rooot=x", "rooot"), ("seeed=1", "seeed"), ("dataset=nothing", "dataset/nothing"),
     ("head=lin", "head/lin"), ("trainer.steps=5", "steps")],
)  # fmt: skip
def test_an_unknown_name_is_told(compose, word, named):
    with pytest.raises(HydraException, match=named):
        compose([*FOLDER, word])


@pytest.mark.parametrize(("value", "tracking"), [("ftp://x", "uri"), ("mlruns", "uri"), ("3", "uri")])
def test_tracking(compose, value, tracking):
    with pytest.raises(UserError, match=rf"tracking\.{tracking}"):
        build.tracking(compose([*FOLDER, f"tracking.uri={value}"]))


def test_everything_is_checked_before_weights_are_loaded(configured, monkeypatch):
    monkeypatch.setattr(build, "_loaded", lambda *_: pytest.fail("loaded"))
    for word in ("seed=abc", "trainer.max_steps=foo", "split.seed=x", "workers=0", "head.learning_rate=x", "force=2"):
        with pytest.raises(UserError):
            configured(word)


def test_values_arrive_as_their_types(configured):
    found = configured(
        "seed=0", "workers=3", "dataset.start=1", "dataset.duration=2", "trainer.max_steps=1e3", "head.learning_rate=1",
        "preprocess.levels_dbfs=[-10,0]", "dataset.include_classes=[b,'2']", "dataset.sample_rate=8000", "split=kfold",
        "split.fold=2", "dataset.root='2024'",
    )  # fmt: skip
    assert (found.seed, found.workers, found.split.fold) == (0, 3, 2)
    assert (found.dataset.start, found.dataset.duration, found.dataset.sample_rate) == (1.0, 2.0, 8000)
    assert isinstance(found.dataset.start, float)
    assert (found.trainer.max_steps, found.head.learning_rate) == (1000, 1.0)
    assert (found.pipeline.image_transform.preprocess.levels_dbfs, found.dataset.include_classes) == (
        [-10.0, 0.0],
        ["b", "2"],
    )
    assert found.dataset.root == "2024"
    assert found.pipeline.window == found.dataset.cut


def test_the_settings_that_are_kept_are_whole_and_plain(configured):
    import yaml

    settings = configured("head.standardize=null").settings
    assert yaml.safe_load(yaml.safe_dump(settings)) == settings
    assert settings["seed"] == 0
    assert settings["dataset"]["root"] == "sounds"
    assert settings["head"]["standardize"] is True  # resolved: what was done, not that it was left open
    assert "hydra" not in settings


@pytest.mark.parametrize(
    ("words", "standardized"),
    [
        (["backbone=pixels"], True),
        (["backbone=marsyas"], True),
        (["backbone=efficientnet_lite0"], False),
        (["backbone=efficientnet_lite0", "backbone.weights=random"], True),
        (["backbone=efficientnet_lite0", "head.standardize=true"], True),
        (["backbone=pixels", "head.standardize=false"], False),
        (["backbone=efficientnet_lite0", "head=one_vs_one"], False),
    ],
)
def test_a_head_that_does_not_say_takes_the_choice_of_its_backbone(configured, monkeypatch, words, standardized):
    monkeypatch.setattr(build, "_loaded", lambda *_: Toy())
    assert configured(*words).head.standardize is standardized


def test_one_worker_per_core_unless_said(configured, monkeypatch):
    monkeypatch.setattr(build.os, "sched_getaffinity", lambda _: {0, 3, 5}, raising=False)
    assert configured().workers == 3
    assert configured("workers=7").workers == 7


@pytest.mark.parametrize("value", ["yes", "no", 1, 0, None, "true", "maybe"])
def test_a_switch_is_true_or_false(value):
    with pytest.raises(UserError, match=r"force: got .*; expected true or false"):
        build.parse_bool("force", value)
    assert build.parse_bool("force", True) is True
    assert build.parse_bool("force", False) is False


def test_a_backbone_is_loaded_once_in_a_process(configured):
    one, other = configured("seed=1"), configured("seed=2", "preprocess=augmented")
    assert one.pipeline.backbone is other.pipeline.backbone
    assert configured("backbone.rows=5").pipeline.backbone is not one.pipeline.backbone


def test_auto_is_decided_once_for_all_jobs_of_a_sweep(compose, tmp_path, monkeypatch, caplog):
    from src.backbone.auto import Decision

    asked, loaded = [], []

    def decide(*_, **__):
        asked.append(1)
        return Decision("efficientnet_lite0", None, "not the paper's network")

    monkeypatch.setattr(build, "decide", decide)
    monkeypatch.setattr(build, "_loaded", lambda settings, *_: loaded.append(settings.model) or Toy())
    for seed in range(3):
        build.experiment(compose(["backbone=auto", "dataset=genre", f"seed={seed}"]), tmp_path / "sweep")
    assert asked == [1]
    assert loaded == ["tf_efficientnet_lite0"] * 3
    assert caplog.text.count("not the paper's network") == 1
    # Another process of the same sweep reads what was decided, even where the answer would now be another one.
    monkeypatch.setattr(build, "decide", lambda *_, **__: Decision("inception_v3", Path("x"), ""))
    build.experiment(compose(["backbone=auto", "dataset=genre"]), tmp_path / "sweep")
    assert loaded[-1] == "tf_efficientnet_lite0"


@pytest.mark.parametrize("target", ["src.backbone.vision.Vision", "src.cache.Cache", "nowhere.Nothing"])
def test_a_class_of_another_version_is_named_with_the_way_out(target):
    with pytest.raises(UserError, match=rf"{target}: there is no such class.*run its job again"):
        build.build("backbone", {"_target_": target}, object)
