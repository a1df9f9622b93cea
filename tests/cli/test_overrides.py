"""Settings that are not there are told with those that are meant."""

import pytest

from src.cli.overrides import mistyped


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("datset=genre", "dataset"),
        ("trainer.max_stepz=10", "trainer.max_steps"),
        ("split.flod=1", "split.fold"),
        ("adio=x.wav", "audio"),
    ],
)
def test_the_setting_most_like_it_is_named(word, meant):
    told = mistyped([word])
    assert told.startswith(f"{word.partition('=')[0]}: there is no such setting; did you mean {meant}")
    assert told.count("\n") == 1


def test_what_is_like_nothing_is_told_too():
    assert mistyped(["qqqqqqq=1"]) == "qqqqqqq: there is no such setting; --help lists what there is\n"


def test_settings_that_are_there_are_not_told(tiny):
    words = [
        "-m", "dataset=folder", "dataset.root=x", "dataset.classes.a=[b]", "hydra/launcher=joblib", "run=best",
        "hydra.launcher.n_jobs=2", "seed=0,1", "+anything=1", "experiment=table3", "transfer.steps=4", "noise=[]",
        "explanation.bands=3", "head.hidden=[1]", "media.sounds=link", "tracking.uri=http://x", "weights_file=x",
    ]  # fmt: skip
    assert mistyped([*words, *tiny]) == ""


def test_a_person_sees_it(run_train, tmp_path):
    done = run_train(["datset=genre"], tmp_path)
    assert done.returncode != 0
    assert "datset: there is no such setting; did you mean dataset" in done.stderr.splitlines()[-1]
