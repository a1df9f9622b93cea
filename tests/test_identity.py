"""Every setting of every group: another value of it is another result, or the same one bit for bit.

The walk composes the real configuration and takes the settings from what it composes, so that a setting that is added
later fails until another value of it is given here.
"""

import copy
import json
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import soundfile
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf
from sounds import make_tone

from src.config import build as configure
from src.config.effect import without_effect
from src.data import manifest, sources
from src.errors import UserError
from src.experiment import Experiment, learn
from src.features.labelled import Runtime, list_clips
from src.tracking.results import Scored, predictions

CONF = Path(__file__).resolve().parent.parent / "conf"
CLIPS = 10

BASE = (
    "dataset=folder", "dataset.root='{tmp}/sounds'", "split=stratified", "backbone=pixels", "backbone.rows=5",
    "backbone.columns=5", "spectrogram=waveform", "head=logistic", "head.max_iter=15", "workers=2", "progress=false",
    "paths.data='{tmp}/data'", "paths.cache='{tmp}/cache'", "paths.weights='{tmp}/weights'",
)  # fmt: skip
NETWORK = (
    "backbone=timm", "backbone.model=test_efficientnet", "backbone.weights=random", "backbone.size=32",
    "backbone.engine=torch", "backbone.device=cpu",
)  # fmt: skip
# A low band takes long clips of zeros.
BANDS = ("spectrogram.fmin=200", "spectrogram.fmax=4000", "spectrogram.bins_per_octave=4")
STEPS = ("trainer.max_steps=3", "trainer.validate_every=2", "trainer.batch_size=8")
MLP = ("head=mlp", "head.hidden=[4]", *STEPS)
TUNING = ("transfer.steps=2", "transfer.batch_size=4", "transfer.validate_every=2")
RELABEL = "dataset.relabel={{size: {{small: [high], large: [mid, low]}}, pitch: {{a: [high, mid], b: [low]}}}}"
COLUMNS = "{{file: auto, label: auto, group: other, part: auto, fold: auto, start: null, end: null}}"
# Walked with folders and tables of classes.
SEPARATE: dict[str, str | None] = dict.fromkeys(("dataset.layout", "dataset.hop", "dataset.table"))


@dataclass(frozen=True)
class Walk:
    """Settings that are changed one at a time.

    Attributes:
        words: overrides of `BASE`. groups: whose settings are changed; empty text: those at the top level.
        values: other values than those of `VALUES`, by setting; None: refused here, and walked elsewhere.
        also: further settings that are changed.
    """

    words: tuple[str, ...]
    groups: tuple[str, ...]
    values: Mapping[str, str | None] = field(default_factory=dict)
    also: tuple[str, ...] = ()


WALKS = {
    "a folder, and where things are": Walk(
        (), ("", "dataset", "tracking", "paths"), {"dataset.layout": None, "dataset.hop": None}
    ),
    "a table": Walk(
        ("dataset.table='{tmp}/table.csv'",),
        ("dataset",),
        dict.fromkeys(("dataset.layout", "dataset.lists", "dataset.hop", "dataset.group_pattern"))
        | {"dataset.table": "'{tmp}/other.csv'"},
    ),
    "windows": Walk(("dataset.window=0.15",), (), also=("dataset.window", "dataset.hop")),
    "classes by loudness": Walk(
        ("dataset.label=loudness", "dataset.loudness_classes=2"),
        ("dataset",),
        {
            "dataset.label": "class",
            "dataset.include_classes": "[loud2, loud1]",
            "dataset.loudness_classes": "3",
            **SEPARATE,
        },
    ),
    "classes anew": Walk(
        ("dataset.label=size", RELABEL),
        ("dataset",),
        {
            "dataset.label": "pitch",
            "dataset.include_classes": "[large, small]",
            "dataset.relabel": "{{size: {{small: [high, mid], large: [low]}}, pitch: {{a: [high, mid], b: [low]}}}}",
            **SEPARATE,
        },
    ),
    "a rendered stand-in": Walk(
        ("dataset=composer", "dataset.source=rendered", "dataset.base=composer", "dataset.root='{tmp}/data/composer'"),
        ("dataset",),
        {
            "dataset.base": "vocalist",
            "dataset.hop": None,
            "dataset.classes": "{{mozart: [], beethoven: []}}",
            "dataset.include_classes": "[mozart, beethoven]",
            "dataset.source": "auto",
            "dataset.root": "'{tmp}/nothing'",
        },
    ),
    "a published set": Walk(
        ("dataset=gtzan", "dataset.source=published", "dataset.base=gtzan", "dataset.root='{tmp}/data/gtzan'"),
        ("dataset",),
        {
            "dataset.base": "irmas",
            "dataset.hop": None,
            "dataset.classes": "{{mozart: [], beethoven: []}}",
            "dataset.include_classes": "[mozart, beethoven]",
            "dataset.source": "auto",
            "dataset.root": "'{tmp}/nothing'",
        },
    ),
    "unprocessed": Walk(("preprocess=unprocessed", "preprocess.name=raw"), ("preprocess",)),
    "normalized": Walk(("preprocess=normalized",), ("preprocess",)),
    "repeated": Walk(("preprocess=repeated",), ("preprocess",)),
    "augmented": Walk(("preprocess=augmented",), ("preprocess",)),
    "waveform": Walk(("spectrogram=waveform",), ("spectrogram",)),
    "asperes": Walk(("spectrogram=asperes", *BANDS), ("spectrogram",)),
    "asperes by its peak": Walk(
        ("spectrogram=asperes", *BANDS, "spectrogram.reference=peak"),
        ("spectrogram",),
        {"spectrogram.reference": "full_scale"},
    ),
    "mel": Walk(("spectrogram=mel",), ("spectrogram",)),
    "mel by its peak": Walk(
        ("spectrogram=mel", "spectrogram.reference=peak"), ("spectrogram",), {"spectrogram.reference": "full_scale"}
    ),
    "phase": Walk(("spectrogram=phase", *BANDS), ("spectrogram",)),
    "sox": Walk(("spectrogram=sox", *BANDS), ("spectrogram",)),
    "pixels": Walk((), ("backbone",)),
    "marsyas": Walk(("backbone=marsyas",), ("backbone", "spectrogram"), also=("dataset.mono", "dataset.start")),
    "a random network": Walk(NETWORK, ("backbone",), {"backbone.standardize_features.published": "true"}),
    "a network from a file": Walk(
        (*NETWORK, "backbone.weights='{tmp}/other.safetensors'"),
        (),
        {"backbone.weights": "random", "backbone.standardize_features.published": "true"},
        also=(
            "backbone.weights",
            "backbone.weights_seed",
            "backbone.standardize_features.published",
            "backbone.standardize_features.random",
        ),
    ),
    "linear": Walk(("head=linear", *STEPS), ("", "head", "trainer")),
    "mlp": Walk(MLP, ("", "head", "trainer")),
    "one_vs_one": Walk(("head=one_vs_one", *STEPS), ("", "head", "trainer")),
    "logistic": Walk((), ("", "head", "trainer")),
    "random_forest": Walk(("head=random_forest", "head.n_estimators=5"), ("", "head", "trainer")),
    "hash": Walk(("split=hash",), ("split",), {"split.name": "kfold"}),
    "stratified": Walk(("split=stratified",), ("split",)),
    "grouped": Walk(("split=grouped", "dataset.group_pattern='/(..)'"), ("split",)),
    "kfold": Walk(("split=kfold",), ("split",), {"split.name": "stratified"}),
    "given": Walk(("split=given", "dataset.table='{tmp}/table.csv'"), ("split",), {"split.name": "stratified"}),
    "folds": Walk(("split=folds", "split.folds=3"), ("split",), {"split.name": "stratified"}),
    "own folds": Walk(
        ("split=folds", "dataset.table='{tmp}/table.csv'"),
        (),
        also=("split.fold", "dataset.columns"),
        values={"dataset.columns": COLUMNS.replace("fold: auto", "fold: part")},
    ),
    "leave_one_out": Walk(
        ("split=leave_one_out", "dataset.group_pattern='/(.)'"), ("split",), {"split.name": "stratified"}
    ),
    "frozen": Walk((*NETWORK, "transfer=frozen"), ("transfer",)),
    "finetune": Walk(
        (*NETWORK, "transfer=finetune", *TUNING),
        ("transfer",),
        also=("seed", "trainer.threads", "trainer.max_steps", "trainer.accelerator", "trainer.progress_bar"),
    ),
}

# Another value of each setting, valid wherever no walk says otherwise.
VALUES = {
    "seed": "1", "workers": "1", "force": "true", "progress": "true",
    "tracking.uri": "'sqlite:///{tmp}/other.db'", "tracking.experiment": "other",
    "paths.data": "'{tmp}/elsewhere'", "paths.cache": "'{tmp}/elsewhere'", "paths.tracking": "'{tmp}/elsewhere'",
    "paths.weights": "'{tmp}/elsewhere'",
    "dataset.name": "other", "dataset.base": "other", "dataset.root": "'{tmp}/copied/sounds'",
    "dataset.classes": "{{mid: [], low: [], high: []}}",
    "dataset.include_classes": "[low, high]", "dataset.label": "loudness",
    "dataset.relabel": RELABEL.partition("=")[2], "dataset.loudness_classes": "3", "dataset.source": "auto",
    "dataset.start": "0.05", "dataset.duration": "0.1", "dataset.sample_rate": "4000", "dataset.mono": "left",
    "dataset.on_unreadable": "skip", "dataset.group_pattern": "'/(.)'", "dataset.clips_per_class": "7",
    "dataset.render_seed": "1", "dataset.layout": "parts", "dataset.lists": "{{test: list.txt}}",
    "dataset.table": "'{tmp}/table.csv'", "dataset.columns": COLUMNS, "dataset.where": "{{other: [a, b, c]}}",
    "dataset.window": "0.1", "dataset.hop": "0.05",
    "preprocess.name": "other", "preprocess.levels_dbfs": "[-6, -3]",
    "spectrogram.height": "50", "spectrogram.pixels_per_second": "50", "spectrogram.reference": "peak",
    "spectrogram.fmin": "250", "spectrogram.fmax": "3000", "spectrogram.bins_per_octave": "6",
    "spectrogram.white_amplitude": "0.3", "spectrogram.n_fft": "512", "spectrogram.n_mels": "40",
    "spectrogram.power": "1", "spectrogram.range_db": "60",
    "spectrogram.origin": "clip",
    "backbone.rows": "6", "backbone.columns": "6", "backbone.max_frames": "4", "backbone.model": "test_resnet",
    "backbone.weights": "'{tmp}/other.safetensors'", "backbone.weights_seed": "1", "backbone.engine": "openvino",
    "backbone.precision": "bfloat16", "backbone.device": "auto", "backbone.scaling": "protocol", "backbone.size": "48",
    "backbone.antialias": "false", "backbone.standardize_features.published": "false",
    "backbone.standardize_features.random": "false",
    "head.learning_rate": "0.2", "head.weight_std": "0.1", "head.standardize": "false", "head.hidden": "[3]",
    "head.activation": "tanh", "head.dropout": "0.5", "head.C": "0.1", "head.max_iter": "3", "head.n_estimators": "7",
    "head.max_features": "sqrt", "head.n_jobs": "2",
    "split.name": "kfold", "split.seed": "1", "split.folds": "4", "split.fold": "1",
    "trainer.max_steps": "4", "trainer.batch_size": "5", "trainer.validate_every": "1", "trainer.accelerator": "cpu",
    "trainer.threads": "2", "trainer.progress_bar": "true",
    "transfer.blocks": "1", "transfer.steps": "3", "transfer.batch_size": "3", "transfer.learning_rate": "0.01",
    "transfer.head_learning_rate": "0.1", "transfer.weight_decay": "0.5", "transfer.warmup": "0.6",
    "transfer.batch_norm": "updated", "transfer.validate_every": "1",
}  # fmt: skip

# Settings that may be given although no result depends on them, and why.
HOW_IT_RUNS = {
    "workers": "cores", "force": "whether a known result is computed again", "progress": "what is shown",
    "tracking.uri": "where runs are kept", "tracking.experiment": "where runs are kept",
    "paths.data": "where things are", "paths.cache": "where things are", "paths.tracking": "where things are",
    "paths.weights": "where things are", "dataset.root": "where the files are; their contents count",
    "dataset.source": "where clips are looked for; those found count", "preprocess.name": "a name for tables",
    "dataset.include_classes": "here it names all classes",
    "dataset.classes": "which classes there are; here only their order",
    "seed": "of a head without randomness: a sweep over seeds has one run",
    "backbone.device": "the device that is found counts", "trainer.accelerator": "the device that is found counts",
    "trainer.validate_every": "points of the curve", "transfer.validate_every": "points of the curve",
    "trainer.progress_bar": "what is shown", "head.n_jobs": "trees grown at a time",
}  # fmt: skip

# Settings that make another identity although they need not make other predictions, and why.
SAME_BITS = {
    "dataset.name": "tables file runs by it",
    "dataset.on_unreadable": "a run that left files out must not answer for one that would have refused them",
    "dataset.base": "the hash of clips' names has it, of which few cross a boundary",
    "trainer.threads": "sums of large matrices are divided among threads; these are too small",
    "backbone.engine": "another engine's last digits are others, not those of every clip",
}


class Nowhere:
    """Takes metrics and forgets them."""

    def log_metrics(self, metrics: dict[str, float], step: int | None = None) -> None: ...


def write_sounds(folder: Path, classes: tuple[str, ...], seed: int) -> list[Path]:
    """Stereo clips of 0.3 s, `CLIPS` a class, every one different and its channels too."""
    written = []
    for c, label in enumerate(classes):
        (folder / label).mkdir(parents=True)
        for i in range(CLIPS):
            number = seed + 100 * c + i
            left = make_tone(150 * 2.0**c * (1 + i / 20), 0.3, 8000, amplitude=0.3 / (1 + i), noise=0.02, seed=number)
            right = make_tone(310 * 2.0**c, 0.3, 8000, amplitude=0.1, noise=0.02, seed=number + 50)
            written.append(folder / label / f"{i % 10}{i % 6}_{i}.wav")
            soundfile.write(written[-1], np.hstack([left, right]), 8000)
    return written


@pytest.fixture(scope="module")
def tmp(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of recordings and its copy, prepared sets, weights, and what `backbone=auto` came to."""
    folder = tmp_path_factory.mktemp("walk")
    write_sounds(folder / "sounds", ("high", "low", "mid"), 0)
    (folder / "sounds" / "list.txt").write_text("high/00_0.wav\n")
    listed = sorted((folder / "sounds").rglob("*.wav"))
    rows = [
        f"{path.relative_to(folder / 'sounds')},{path.parent.name},{'abcd'[i % 4]}{i % 3},{'abcd'[i % 4]},"
        f"{('train', 'train', 'test')[i % 3]},{i % 3}"
        for i, path in enumerate(listed)
    ]
    for name, chosen in (("table", rows), ("other", rows[1:])):
        (folder / f"{name}.csv").write_text("\n".join(["file,label,group,other,part,fold", *chosen]))
    shutil.copytree(folder / "sounds", folder / "copied" / "sounds")
    prepared = (
        ".rendered/composer-60-seed0", ".rendered/composer-7-seed0", ".rendered/composer-60-seed1",
        ".rendered/vocalist-60-seed0", ".published/gtzan", ".published/irmas",
    )  # fmt: skip
    for number, name in enumerate(prepared, start=1):
        where = folder / "data" / name
        clips = write_sounds(where, ("beethoven", "mozart"), 1000 * number)
        entries = [{"file": str(p.relative_to(where)), "label": p.parent.name, "group": p.name[:2]} for p in clips]
        content = {"origin": "rendered" if "rendered" in name else "recorded", "provenance": "made up"}
        manifest.write(where / manifest.NAME, {**content, "clips": entries})
    from src.backbone.network import build

    state = build("test_efficientnet", "random", 5, None).module.state_dict()
    safetensors.torch.save_file({k: v.contiguous() for k, v in state.items()}, folder / "other.safetensors")
    (folder / "auto.json").write_text('{"config": "efficientnet_lite0", "weights": null, "warning": ""}')
    return folder


@pytest.fixture(scope="module")
def composed(compose: Any, tmp: Path) -> Any:
    """`composed(words)`: the configuration; groups are composed once, then values are set, as Hydra does."""
    once = cache(compose)

    def settings(words: tuple[str, ...]) -> Any:
        parsed = OverridesParser.create().parse_overrides([word.format(tmp=tmp) for word in words])
        groups = {word.key_or_group: str(word.input_line) for word in parsed if (CONF / word.key_or_group).is_dir()}
        config = copy.deepcopy(once(tuple(groups.values())))
        for word in parsed:
            parent, _, key = word.key_or_group.rpartition(".")
            table = OmegaConf.select(config, parent) if parent else config
            if word.key_or_group not in groups and key in list(table.keys()):  # BASE is of options that a walk replaces
                OmegaConf.update(config, word.key_or_group, word.value(), merge=False)
        return config

    return settings


def names(settings: Mapping[str, Any], groups: tuple[str, ...]) -> Iterator[str]:
    """The settings of some groups as they are typed."""
    for group in groups:
        for key, value in settings.items() if not group else settings[group].items():
            if key == "standardize_features":
                yield from (f"{group}.{key}.{kind}" for kind in value)
            elif key != "_target_" and (group or not isinstance(value, Mapping)):
                yield f"{group}.{key}" if group else key


@dataclass(frozen=True)
class Result:
    """What a configuration comes to.

    Attributes:
        cell: identity but for the seed. features: what they are cached by. rows: features by the clip's digest.
        predictions: as the run would store them.
    """

    identity: str
    cell: str
    features: str
    rows: dict[str, bytes]
    predictions: str


def result(config: Any, tmp: Path, cache_folder: Path) -> Result:
    """Everything computed anew, so that a cache whose key lacks a setting cannot answer."""
    experiment = configure.experiment(config, tmp)
    place = Runtime(tmp / "data", cache_folder, experiment.workers, lambda _: None)
    contents = list_clips(experiment.dataset, place)
    learned = learn(experiment, contents, place, Nowhere())
    extraction, crossed = learned.material.extraction, learned.crossed
    return Result(
        experiment.identity(contents),
        experiment.cell(contents),
        json.dumps(experiment.pipeline.key()),
        {digest: row.tobytes() for digest, row in zip(extraction.digests, extraction.features, strict=True)},
        predictions(
            Scored.of(
                learned.material,
                learned.head.predict_proba(extraction.features) if crossed is None else crossed.probabilities,
                None if crossed is None else crossed.folds,
            ),
            learned.material.dataset.classes,
        ),
    )


def faults(name: str, first: Result, other: Result, ignored: Mapping[str, str], tuned: bool) -> Iterator[str]:
    """What is wrong about a setting that is all that two results differ in."""
    same = other.predictions == first.predictions
    both = first.rows.keys() & other.rows.keys()
    if other.features == first.features and not tuned and any(first.rows[d] != other.rows[d] for d in both):
        yield f"{name}: other features under one key of the cache"
    if other.identity == first.identity:
        if not same:
            yield f"{name}: other predictions under one identity"
        if name not in HOW_IT_RUNS and name not in ignored:
            yield f"{name}: changes nothing, and would not be refused"
    else:
        if same and name not in SAME_BITS:
            yield f"{name}: another identity, but the same predictions"
        if name in ignored:
            yield f"{name}: another identity, but it would be refused"
    if (other.cell == first.cell) != (other.identity == first.identity or name == "seed"):
        yield f"{name}: a cell holds runs that differ by the seed alone"


@pytest.mark.parametrize("walk", WALKS.values(), ids=WALKS)
def test_another_value_is_another_identity_or_the_same_bits(walk, composed, tmp, tmp_path):
    base = composed((*BASE, *walk.words))
    settings = configure.plain(base)
    chosen = configure.choices(settings)
    ignored = without_effect(chosen, sources.serving(chosen.dataset, tmp / "data"))
    first = result(base, tmp, tmp_path / "first")
    wrong = []
    for number, name in enumerate((*names(settings, walk.groups), *walk.also)):
        value = walk.values.get(name, VALUES.get(name))
        if name in walk.values and value is None:
            continue
        if value is None:
            wrong.append(f"{name}: has no other value here; give one in VALUES, and see what it does")
            continue
        config = composed((*BASE, *walk.words, f"{name}={value}"))
        assert json.dumps(configure.plain(config)) != json.dumps(settings), f"{name}={value} is the value it has"
        try:
            other = result(config, tmp, tmp_path / str(number))
        except UserError as error:
            if name != "backbone.precision" or "bfloat16" not in str(error):  # this CPU may not have it
                wrong.append(f"{name}={value}: {error}")
            continue
        wrong += faults(name, first, other, ignored, bool(chosen.transfer.key()))
    assert wrong == []


# Networks with weights of their own; tests/backbone says what their identities depend on.
ELSEWHERE = {"inception_2015", "musicnn", "torchaudio"}


def test_every_group_and_every_kind_of_option_is_walked(composed):
    walked = set()
    for walk in WALKS.values():
        settings = configure.plain(composed((*BASE, *walk.words)))
        for group in walk.groups:
            if group:
                walked.add((group, settings[group]["_target_"], frozenset(settings[group])))
    auto = configure.plain(composed((*BASE, "backbone=auto")))["backbone"]  # see the next test
    walked.add(("backbone", auto["_target_"], frozenset(auto)))
    for group in (path.name for path in CONF.iterdir() if path.is_dir()):
        if group in ("schema", "experiment", "hydra"):
            continue
        for path in (CONF / group).glob("*.yaml"):
            if group == "backbone" and path.stem in ELSEWHERE:
                continue
            shared = CONF / "schema" / path.parent.with_suffix(".yaml").name
            schema = yaml.safe_load(shared.read_text()) if shared.exists() else {}
            content = {**schema, **yaml.safe_load(path.read_text())}
            content.pop("defaults", None)
            assert (group, content["_target_"], frozenset(content)) in walked, f"{path}: no walk has its like"


def test_what_auto_comes_to_has_every_setting_of_it(composed, tmp):
    settings = configure.plain(composed((*BASE, "backbone=auto")))["backbone"]
    network = configure.plain(composed((*BASE, *NETWORK)))["backbone"]
    assert settings.keys() == network.keys() - {"model"}
    before = configure.settle(settings, tmp, tmp)
    for key in settings.keys() - {"_target_", "standardize_features"}:
        value = OverridesParser.create().parse_override(f"x={VALUES[f'backbone.{key}'].format(tmp=tmp)}").value()
        assert configure.settle({**settings, key: value}, tmp, tmp) == {**before, key: value}


@pytest.mark.parametrize("words", [(), (*NETWORK, *MLP, "transfer=finetune", *TUNING), ("backbone=marsyas",)])
def test_a_class_that_is_renamed_or_moved_keeps_identities(words, composed, tmp, tmp_path):
    experiment: Experiment = configure.experiment(composed((*BASE, *words)), tmp)
    place = Runtime(tmp / "data", tmp_path, 1, lambda _: None)
    contents = list_clips(experiment.dataset, place)
    before = experiment.key(contents)
    parts = [experiment, experiment.pipeline, experiment.pipeline.image_transform, *vars(experiment).values()]
    parts += [*vars(experiment.pipeline).values(), *vars(experiment.pipeline.image_transform).values()]
    kinds = {type(part) for part in parts if type(part).__module__.startswith("src.")}
    assert len(kinds) > 10
    names_before = {kind: (kind.__name__, kind.__qualname__, kind.__module__) for kind in kinds}
    try:
        for kind in kinds:
            kind.__name__ = kind.__qualname__ = kind.__module__ = "Renamed"
        assert experiment.key(contents) == before
    finally:
        for kind, (name, qualified, module) in names_before.items():
            kind.__name__, kind.__qualname__, kind.__module__ = name, qualified, module
