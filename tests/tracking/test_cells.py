"""The jobs of a sweep: those that Hydra itself would start, composed to the same settings."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from src.config.jobs import Composer, expand, told_apart
from src.errors import UserError

CONF = Path(__file__).resolve().parent.parent.parent / "conf"


@pytest.fixture(autouse=True)
def _hydra() -> Iterator[None]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


@pytest.mark.parametrize(
    ("words", "jobs"),
    [
        (["dataset=genre"], [("dataset=genre",)]),
        (["seed=0,1"], [("seed=0",), ("seed=1",)]),
        (["seed=range(2)", "dataset=genre"], [("seed=0", "dataset=genre"), ("seed=1", "dataset=genre")]),
        (["hydra/launcher=joblib", "hydra.launcher.n_jobs=2", "seed=3,4"], [("seed=3",), ("seed=4",)]),
        (["seed=0,1", "seed=2,3"], [("seed=2",), ("seed=3",)]),
        (["seed=0,1", "seed=5"], [("seed=5",)]),
        (["dataset.include_classes=[a,b]"], [("dataset.include_classes=[a,b]",)]),
        (["head=glob(l*)"], [("head=linear",), ("head=logistic",)]),
        (["split=kfold", "split.fold=choice(0,1)"], [("split=kfold", "split.fold=0"), ("split=kfold", "split.fold=1")]),
    ],
)
def test_jobs_of_words(words: list[str], jobs: list[tuple[str, ...]]) -> None:
    assert expand(words) == jobs


def test_an_experiment_brings_its_axes_and_words_change_them() -> None:
    jobs = expand(["experiment=table3", "seed=7"])
    datasets = [f"dataset={name}" for name in ("ballroom9", "ballroom8", "ballroom7", "ballroom2")]
    assert [set(job) for job in jobs] == [
        {name, "preprocess=normalized", "seed=7", "experiment=table3"} for name in datasets
    ]


@pytest.mark.parametrize(
    "words",
    [
        ("dataset=genre", "seed=3"),
        ("dataset=folder", "dataset.root='a b'", "dataset.include_classes=[x,y]", "trainer.max_steps=7"),
        ("experiment=table3", "dataset=ballroom8", "preprocess=normalized", "seed=1", "head.learning_rate=0.5"),
        ("backbone=timm", "backbone.model=resnet18", "head=mlp"),
        ("paths.tracking=elsewhere", "+extra=1", "seed=2"),
        ("split=kfold", "split.fold=2", "~force"),
    ],
)
def test_a_job_is_composed_as_hydra_does(words: tuple[str, ...]) -> None:
    composer = Composer()
    composer(("dataset=genre", "seed=99"))
    for _ in range(2):  # the second comes from what the first composed
        found = composer(words)
        assert OmegaConf.to_container(found) == OmegaConf.to_container(compose("config", list(words)))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("dataset=nowhere",), "nowhere"),
        (("seeed=1",), "seeed"),
        (("head.nothing=1",), "nothing"),
    ],
)
def test_words_that_do_not_compose(words: tuple[str, ...], told: str) -> None:
    with pytest.raises(UserError, match=told):
        Composer()(words)


def test_axes_that_only_another_sweeper_knows() -> None:
    with pytest.raises(UserError, match="does not support"):
        expand(["head.learning_rate=interval(0,1)"])


def test_jobs_are_told_apart_by_what_they_do_not_share() -> None:
    assert told_apart([("a=1", "b=2"), ("a=1", "b=3")]) == ["b=2", "b=3"]
    assert told_apart([("a=1", "b=2")]) == ["a=1 b=2"]
