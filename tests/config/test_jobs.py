"""The jobs of a sweep are those that Hydra composes."""

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import ConfigCompositionException
from hydra.types import RunMode
from omegaconf import OmegaConf
from running import ROOT

from src.config.jobs import SweepLoader

JOBS = [
    ["seed=3"],
    ["seed=4", "head=mlp", "head.hidden=[8]"],
    ["seed=5", "head=mlp", "head.hidden=[9]"],
    ["dataset=folder", "dataset.root=clips", "preprocess=augmented", "seed=1"],
    ["dataset=folder", "dataset.root='a b'", "preprocess=augmented", "seed=2"],
    ["experiment=metal_classical", "seed=0"],
    ["+extra=1", "seed=0"],
    ["+dataset.relabel.x=1", "seed=1"],
    ["~progress", "seed=0"],
]


@pytest.fixture
def loaders():
    with initialize_config_dir(str(ROOT / "conf"), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        words = ["hydra.job.config.override_dirname.exclude_keys=[seed]", "workers=2"]
        yield loader, SweepLoader(loader), loader.load_configuration("config", words, RunMode.MULTIRUN)


def test_a_copy_with_values_set_is_what_hydra_composes(loaders):
    hydras, ours, master = loaders
    for words in [*JOBS, *reversed(JOBS)]:
        expected, job = (loader.load_sweep_config(master, list(words)) for loader in (hydras, ours))
        assert OmegaConf.to_container(job, resolve=False) == OmegaConf.to_container(expected, resolve=False), words
        assert OmegaConf.is_struct(job)
        job.seed, job.hydra.job.num = 99, 7  # the job's own; the next one's is as composed


@pytest.mark.parametrize("word", ["head.hiden=[8]", "seed.of=1", "head=unknown"])
def test_what_does_not_compose_is_hydras_error(loaders, word):
    hydras, ours, master = loaders
    ours.load_sweep_config(master, ["seed=1"])
    errors = []
    for loader in (hydras, ours):
        with pytest.raises(ConfigCompositionException) as raised:
            loader.load_sweep_config(master, [word, "seed=2"])
        errors.append(str(raised.value))
    assert errors[0] == errors[1]
