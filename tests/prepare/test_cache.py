"""`python -m src.prepare.cache`: what is kept, and only what is named is removed."""

import os
import time

import numpy as np
import pytest

from src.errors import UserError
from src.features.cache import FeatureCache, listing
from src.prepare.cache import act

DAY = 86400


@pytest.fixture
def cache(tmp_path):
    """Two datasets in one pipeline, one of them in another pipeline too; `old` was last added to ten days ago."""
    folder = tmp_path / "cache" / "features"
    rng = np.random.default_rng(0)

    def put(levels, dataset, digest, days):
        store = FeatureCache(folder, {"levels_dbfs": levels, "backbone": {"model": "toy"}})
        before = set(store.folder.glob("*.safetensors"))
        store.write([digest], rng.standard_normal((1, 50)).astype(np.float32), dataset=dataset)
        [path] = set(store.folder.glob("*.safetensors")) - before
        stamp = time.time() - days * DAY
        os.utime(path, (stamp, stamp))
        return path

    put([], "new", "a", 0)
    put([], "old", "b", 10)
    put([-35.0, 0.0], "old", "c", 20)
    put([-35.0, 0.0], "old", "d", 10)
    return folder


@pytest.fixture
def acted(compose, tmp_path, cache, capsys):
    def run(*words):
        act(compose([f"paths.cache='{tmp_path / 'cache'}'", *words], "cache"))
        return capsys.readouterr().out

    return run


def left(cache):
    return sorted((entry["dataset"], entry["clips"]) for entry in listing(cache))


def test_listing_removes_nothing(acted, cache):
    table = acted()
    lines = table.splitlines()
    assert lines[0].split() == ["dataset", "backbone", "condition", "clips", "MB", "days", "since", "pipeline"]
    assert [line.split()[0] for line in lines[2:5]] != []
    assert "2 copies, -35 to 0 dBFS" in table
    assert "as recorded" in table
    assert lines[-1].endswith("MB held")
    assert left(cache) == [("new", 1), ("old", 1), ("old", 2)]


@pytest.mark.parametrize(
    ("words", "remaining"),
    [
        (["of=new"], [("old", 1), ("old", 2)]),
        (["of=old"], [("new", 1)]),
        (["days=5"], [("new", 1)]),
        (["days=15"], [("new", 1), ("old", 1), ("old", 2)]),
        (["of=new", "days=5"], [("new", 1), ("old", 1), ("old", 2)]),
        (["days=0"], []),
        (["of=nothing"], [("new", 1), ("old", 1), ("old", 2)]),
    ],
)
def test_pruning_removes_what_is_named(acted, cache, words, remaining):
    assert "MB removed" in acted("action=prune", *words)
    assert left(cache) == remaining


def test_pruning_takes_what_was_set_aside(acted, cache):
    aside = next(cache.glob("*/*.safetensors")).with_suffix(".corrupt")
    aside.write_bytes(b"x")
    acted()
    assert aside.exists()
    acted("action=prune", "of=nothing")
    assert not aside.exists()


def test_a_dataset_whose_name_is_a_number(acted, cache):
    FeatureCache(cache, {"levels_dbfs": []}).write(["z"], np.ones((1, 2), np.float32), dataset="2024")
    acted("action=prune", "of=2024")
    assert left(cache) == [("new", 1), ("old", 1), ("old", 2)]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["action=clear"], r"action: got 'clear'; expected list or prune"),
        (["action=prune"], r"action=prune: say what: of=DATASET, days=N"),
        (["action=prune", "days=week"], r"days: got 'week'; expected a number of days"),
        (["action=prune", "days=-1"], r"days: got -1; expected a number of days"),
    ],
)
def test_mistakes_are_told(acted, cache, words, told):
    with pytest.raises(UserError, match=told):
        acted(*words)
    assert len(left(cache)) == 3


def test_as_a_person_runs_it(run_train, tmp_path, cache):
    done = run_train(["paths.cache=cache"], tmp_path, "src.prepare.cache")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.endswith("cache/features: 0.0 MB held\n")
    nothing = run_train(["paths.cache=elsewhere"], tmp_path, "src.prepare.cache")
    assert nothing.stdout == "elsewhere/features: 0.0 MB held\n"
    wrong = run_train(["action=prune", "paths.cache=cache"], tmp_path, "src.prepare.cache")
    assert wrong.returncode == 1
    assert wrong.stderr.startswith("action=prune: say what")


def test_pictures_for_fine_tuning_are_listed_and_go_by_their_age(acted, cache):
    folder = cache.parent / "pictures" / "pipeline"
    folder.mkdir(parents=True)
    for name, days in (("new", 0), ("old", 10)):
        path = folder / f"{name}.pixels"
        path.write_bytes(bytes(500_000))
        stamp = time.time() - days * DAY
        os.utime(path, (stamp, stamp))
    assert "2 files for fine-tuning, 1.0 MB held" in acted()
    assert "fine-tuning" not in acted("action=prune", "of=new")
    assert "1 files for fine-tuning, 0.5 MB removed" in acted("action=prune", "days=5")
    assert [path.name for path in folder.iterdir()] == ["new.pixels"]
