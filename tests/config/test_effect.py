"""Settings that are given and change nothing are refused; wrong ones are reported before anything heavy is imported."""

import json
import re
import subprocess
import sys

import pytest
from running import ROOT, environment

from src.config import effect
from src.errors import UserError

CONF = ROOT / "conf"
HEAVY = ("torch", "mlflow", "timm", "openvino", "sklearn", "scipy", "pytorch_lightning", "matplotlib", "pandas")


@pytest.fixture
def check(compose, tmp_path):
    """`check(words)`: as `python -m src.train` checks them, on a folder of recordings."""
    (tmp_path / "birds" / "owl").mkdir(parents=True)
    base = [f"paths.data='{tmp_path / 'data'}'"]

    def checked(*words):
        effect.check_job(compose([*base, *words]), words)

    checked.folder = ("dataset=folder", f"dataset.root='{tmp_path / 'birds'}'")
    checked.base = base
    return checked


PIXELS = ("backbone=pixels", "spectrogram=waveform")


@pytest.mark.parametrize(
    ("words", "setting"),
    [
        (["dataset.clips_per_class=5"], "dataset.clips_per_class"),
        (["dataset.render_seed=1"], "dataset.render_seed"),
        (["dataset.loudness_classes=3"], "dataset.loudness_classes"),
        (["dataset.loudness_classes=5"], "dataset.loudness_classes"),  # given as it is
        (["+dataset.relabel.size={a: [owl]}"], "dataset.relabel.size"),
        (["dataset.base=x", "split=stratified"], "dataset.base"),
        (["split.seed=1"], "split.seed"),
        (["split=stratified", "split.fold=1"], "split.fold"),
        (["split=grouped", "split.folds=3"], "split.folds"),
        (["head=random_forest", "trainer.max_steps=10"], "trainer.max_steps"),
        (["head=random_forest", "trainer.threads=2"], "trainer.threads"),
        (["head=random_forest", "trainer=quick"], "trainer"),
        (["head=logistic", "trainer.batch_size=10"], "trainer.batch_size"),
        (["head=logistic", "trainer.validate_every=10"], "trainer.validate_every"),
        (["transfer.steps=5"], "transfer.steps"),
        (["transfer=frozen", "transfer.blocks=1"], "transfer.blocks"),
        (["backbone=efficientnet_lite0", "backbone.weights_seed=1"], "backbone.weights_seed"),
        (["backbone.standardize_features.random=false"], "backbone.standardize_features.random"),
        (["head.standardize=true", "backbone.standardize_features.published=false"],
         "backbone.standardize_features.published"),
        (["spectrogram=asperes", "spectrogram.reference=peak", "spectrogram.white_amplitude=0.2"],
         "spectrogram.white_amplitude"),
        (["backbone=marsyas", "spectrogram=mel"], "spectrogram"),
        (["backbone=musicnn", "spectrogram=mel"], "spectrogram"),
        (["backbone=torchaudio", "backbone.weights_seed=1"], "backbone.weights_seed"),
        (["backbone=marsyas", "spectrogram.fmin=30"], "spectrogram.fmin"),
        (["backbone=marsyas", "dataset.mono=left"], "dataset.mono"),
    ],
)  # fmt: skip
def test_a_setting_that_changes_nothing_is_refused_by_its_name(check, words, setting):
    default = [] if any(word.startswith("backbone=") for word in words) else ["backbone=pixels"]
    with pytest.raises(UserError, match=rf"^{re.escape(setting)}: changes nothing here: .*(leave|add|set)"):
        check(*check.folder, *default, *words)


@pytest.mark.parametrize(
    "words",
    [
        [],
        [
            "dataset.group_pattern='(.)'",
            "dataset.include_classes=[a,b]",
            "dataset.on_unreadable=skip",
            "dataset.start=1",
        ],
        ["dataset.label=loudness", "dataset.loudness_classes=2"],
        ["+dataset.relabel.size={a: [owl], b: [wren]}", "dataset.label=size"],
        ["dataset.base=x", "split=hash"],
        ["split=kfold", "split.seed=1", "split.folds=4", "split.fold=1"],
        [
            "head=linear",
            "trainer=quick",
            "trainer.max_steps=10",
            "trainer.validate_every=1",
            "trainer.progress_bar=true",
        ],
        ["head=random_forest", "head.n_jobs=2", "seed=3", "workers=1", "force=true", "progress=false"],
        ["head=logistic", "seed=3", "trainer.threads=2"],
        ["backbone=auto", "transfer=finetune", "transfer.steps=3", "trainer.threads=2", "trainer.progress_bar=true"],
        ["backbone=auto", "backbone.weights=random", "backbone.weights_seed=1"],
        ["backbone=auto", "backbone.standardize_features.published=true"],
        ["spectrogram=mel", "spectrogram.reference=full_scale", "spectrogram.white_amplitude=0.2"],
        ["backbone=marsyas", "dataset.start=1", "preprocess.levels_dbfs=[-3]"],
        ["transfer=frozen", "split=hash", "head=logistic"],
        ["paths.cache=x", "tracking.experiment=y", "preprocess.name=z"],
        ["experiment=reference_peak"],
    ],
)
def test_other_settings_are_not(check, words):
    default = [] if any(word.startswith("backbone=") for word in words) else ["backbone=pixels"]
    check(*check.folder, *default, *words)


def test_what_a_stand_in_reads_is_refused_for_recordings_alone(check, tmp_path):
    words = ("dataset=composer", *PIXELS, "dataset.clips_per_class=5", "dataset.render_seed=2")
    check(*words)
    (tmp_path / "data" / "composer" / "mozart").mkdir(parents=True)
    with pytest.raises(
        UserError, match=r"dataset\.clips_per_class: .* recordings in .*data/composer; .*source=rendered"
    ):
        check(*words)
    check(*words, "dataset.source=rendered")


def test_groups_and_the_folder_are_the_recordings(check):
    for word in ("dataset.group_pattern='(.)'", "dataset.root=x"):
        with pytest.raises(UserError, match=rf"^{word.partition('=')[0]}: changes nothing here"):
            check("dataset=composer", "dataset.source=rendered", *PIXELS, word)


def test_an_experiments_own_settings_count_as_given(check):
    check("experiment=reference_peak", "dataset=composer", "backbone=pixels")
    with pytest.raises(UserError, match=r"^spectrogram\.reference: changes nothing here: backbone=marsyas"):
        check("experiment=reference_peak", "dataset=composer", "backbone=marsyas")


@pytest.fixture
def sweep(tmp_path, compose):
    """`sweep(words)`: what is said of a sweep before its first job."""
    from hydra import initialize_config_dir

    from src.config.jobs import jobs_of

    (tmp_path / "birds" / "owl").mkdir(parents=True)
    base = ["dataset=folder", f"dataset.root='{tmp_path / 'birds'}'"]

    def said(*words):
        with initialize_config_dir(str(CONF), version_base="1.3"):
            return effect.check_sweep(jobs_of({}, [*base, *words]))

    return said


@pytest.mark.parametrize(
    "words",
    [
        ["backbone=pixels,marsyas", "spectrogram=mel"],
        ["backbone=pixels,marsyas", "spectrogram=mel,asperes"],
        ["backbone=pixels", "head=linear,random_forest", "trainer.max_steps=10,100"],
        ["backbone=auto", "transfer=frozen,finetune", "transfer.steps=5"],
        ["backbone=pixels", "split=hash,stratified", "split.seed=0,1"],
        ["backbone=pixels", "head=logistic", "seed=0,1,2"],
    ],
)
def test_what_concerns_some_jobs_of_a_sweep_is_allowed(sweep, words):
    assert sweep(*words) == []


@pytest.mark.parametrize(
    ("words", "setting"),
    [
        (["backbone=marsyas", "spectrogram=mel,asperes"], "spectrogram"),
        (["backbone=pixels", "dataset.clips_per_class=5,20"], "dataset.clips_per_class"),
        (["backbone=pixels", "head=logistic,random_forest", "trainer.max_steps=10,100"], "trainer.max_steps"),
        (["backbone=pixels", "split=hash", "split.fold=0,1,2"], "split.fold"),
    ],
)
def test_what_concerns_none_is_not(sweep, words, setting):
    with pytest.raises(UserError, match=rf"^{re.escape(setting)}: changes nothing here"):
        sweep(*words)


def test_a_value_that_is_wrong_in_some_jobs_is_reported_and_in_all_ends_the_sweep(sweep):
    (message,) = sweep("backbone=pixels", "seed=0,abc", "head=linear,logistic")
    assert message.startswith("seed: got 'abc'")
    messages = sweep("backbone=pixels", "seed=abc,0", "trainer.max_steps=foo,3")
    assert [one.partition("=")[0].partition(":")[0] for one in messages] == ["trainer.max_steps", "seed"]
    with pytest.raises(UserError, match="seed: got 'abc'"):
        sweep("backbone=pixels", "seed=abc", "head=linear,logistic")


# A wrong value of each option of each group, whose check must not need what computes.
WRONG = {
    "dataset": "dataset.mono=right", "preprocess": "preprocess.levels_dbfs=[3]", "split": "split.seed=x",
    "spectrogram": "spectrogram.reference=x", "trainer": "trainer.max_steps=0",
    "transfer": "transfer.warmup=2", "backbone": "backbone.precision=x", "tracking": "tracking.uri=ftp://x",
    "paths": "paths.data=null", "backbone=pixels": "backbone.rows=0", "backbone=marsyas": "backbone.max_frames=1",
    "backbone=torchaudio": "backbone.layer=0",
    "head=linear": "head.learning_rate=0", "head=mlp": "head.hidden=[0]", "head=one_vs_one": "head.weight_std=-1",
    "head=logistic": "head.C=0", "head=random_forest": "head.max_features=all",
}  # fmt: skip


def test_a_wrong_value_of_any_option_is_found_without_what_computes(tmp_path):
    cases = []
    for group in {name.partition("=")[0] for name in WRONG}:
        for path in sorted((CONF / group).glob("*.yaml")):
            option = f"{group}={path.stem}"
            needed = ["dataset.root=x"] * (path.stem in ("folder", "files")) + ["backbone.model=x"] * (
                path.stem == "timm"
            )
            cases.append([option, WRONG.get(option, WRONG.get(group)), *needed])
    program = (
        "import json, sys\n"
        "from hydra import compose, initialize_config_dir\n"
        "from src.config import effect\n"
        "from src.errors import UserError\n"
        f"heavy = {HEAVY!r}\n"
        "found = []\n"
        f"with initialize_config_dir({str(CONF)!r}, version_base='1.3'):\n"
        "    for words in json.load(sys.stdin):\n"
        "        try:\n"
        "            effect.check_job(compose('config', words), words)\n"
        "            found.append(words + ['accepted'])\n"
        "        except UserError as error:\n"
        "            if words[1].partition('=')[0] not in str(error): found.append(words + [str(error)])\n"
        "        loaded = [name for name in heavy if name in sys.modules]\n"
        "        if loaded: found.append(words + loaded); break\n"
        "print(json.dumps(found))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], input=json.dumps(cases), cwd=tmp_path, env=environment(), capture_output=True,
        text=True, check=True,
    )  # fmt: skip
    assert len(cases) > 45
    assert json.loads(done.stdout) == []


@pytest.mark.parametrize(
    ("words", "setting"),
    [
        (["dataset.mono=x"], "dataset.mono"),
        (["-m", "seed=0,1", "spectrogram=mel", "spectrogram.n_mels=0"], "spectrogram.n_mels"),
        (["head=random_forest", "trainer.max_steps=5"], "trainer.max_steps"),
        (["-m", "split.fold=0,1"], "split.fold"),
        (["+dataset.foo=1"], "dataset.foo"),
    ],
)
def test_the_command_says_so_before_it_does_anything(run_train, tmp_path, words, setting):
    done = run_train(words, tmp_path, fresh=True)
    assert done.returncode in (1, 2)
    assert setting in done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "mlruns" / "mlflow.db").exists()
    assert not (tmp_path / "data").exists()
