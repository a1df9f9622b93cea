"""Which finished run is meant, by its name or as the best of some, and its model on this machine."""

from dataclasses import replace

import pytest

from src.config import build, select_run
from src.errors import UserError
from src.features.labelled import Runtime, contents_at_hand
from src.tracking.store import RunRecord, Store


@pytest.fixture
def asked(bench, compose):
    """`asked(words)`: the configuration of a command that uses a run, on the bench's runs."""

    def composed(*words):
        places = [f"paths.{key}='{bench.folder / key}'" for key in ("data", "cache", "weights")]
        runs = [f"paths.tracking='{bench.tracking}'", f"tracking.experiment='{bench.experiment}'"]
        from omegaconf import open_dict

        cfg = compose(["audio=x", *places, *runs, *words], "predict", hydra=True)
        with open_dict(cfg.hydra.overrides):
            cfg.hydra.overrides.task = list(words)
        return cfg

    return composed


def record(number, validation=None, **tags) -> RunRecord:
    metrics = {} if validation is None else {"validation/accuracy": validation, "test/accuracy": 1 - validation}
    known = {"dataset": "composer", "preprocess": "normalized", "backbone": "pixels", "head": "linear", **tags}
    params = {"head.learning_rate": "0.01", "backbone._target_": "src.backbone.pixels.Pixels"}
    if known["backbone"] == "efficientnet_lite0":
        params["backbone._target_"] = "src.backbone.auto.Auto"
    return RunRecord(f"{number:032x}", "r", "FINISHED", float(number), 1.0, known, params, metrics, "")


@pytest.fixture
def runs(monkeypatch):
    """`runs(records)`: what the store has."""

    def has(*records):
        monkeypatch.setattr(Store, "runs", lambda self, words="": sorted(records, key=lambda r: -r.started))
        monkeypatch.setattr(Store, "get", lambda self, run_id: next((r for r in records if r.run_id == run_id), None))
        monkeypatch.setattr(select_run, "store", lambda cfg: Store.__new__(Store))
        monkeypatch.setattr(Store, "experiment", "x", raising=False)

    return has


def test_the_best_is_by_validation_and_the_newest_of_equals(runs, asked):
    runs(record(1, 0.9), record(2, 0.9), record(3, 0.5), record(4), record(5, 1.0, dataset="genre"))
    assert select_run.find_run(asked("run=best", "dataset=composer")).started == 2


@pytest.mark.parametrize(
    ("words", "number"),
    [
        (["preprocess=unprocessed"], 2), (["head=one_vs_one"], 3), (["backbone=marsyas"], 4), (["backbone=auto"], 5),
        (["backbone=efficientnet_lite0"], 5), (["spectrogram=waveform"], 6), (["seed=7"], 7), (["origin=rendered"], 8),
        (["split=kfold"], 9), (["head=linear", "head.learning_rate=0.01", "seed=7"], 7), (["backbone=pixels"], 12),
    ],
)  # fmt: skip
def test_choices_leave_runs_out(runs, asked, words, number):
    runs(
        record(2, 0.1, preprocess="unprocessed"), record(3, 0.1, head="one_vs_one"), record(4, 0.1, backbone="marsyas"),
        record(5, 0.1, backbone="efficientnet_lite0"), record(6, 0.1, spectrogram="waveform"),
        record(7, 0.1, seed="7"), record(8, 0.1, origin="rendered"), record(9, 0.1, split="kfold"), record(12, 0.9),
    )  # fmt: skip
    assert select_run.find_run(asked("run=best", "dataset=composer", *words)).started == number


def test_only_runs_that_saw_the_same_clips_are_compared(runs, asked, caplog):
    caplog.set_level("INFO")
    runs(
        record(1, 0.95, data_digest="old"), record(2, 0.7, data_digest="new"), record(3, 0.8, data_digest="new"),
        record(4, 0.6, data_digest="new"),
    )  # fmt: skip
    for words in (["run=best"], ["run=best", "dataset=composer"]):
        assert select_run.find_run(asked(*words)).started == 3
        assert "the best of 3 on the newest version of its clips; 1 that saw other clips are left out" in caplog.text
        caplog.clear()


def folder_run(number, validation, root, digest):
    one = record(number, validation, dataset="birds", dataset_root=str(root), data_digest=digest)
    return replace(one, params={**one.params, "dataset.source": "recordings"})


def test_a_folder_is_known_by_its_place_or_its_clips(
    runs, asked, tmp_path, write_clips, dataset_settings, bench, caplog
):
    caplog.set_level("INFO")
    here, there, gone = (tmp_path / place / "birds" for place in ("here", "there", "gone"))
    digests = {}
    for number, root in enumerate((here, there)):
        write_clips(root, ["a", "b"], 2 + number)
        where = Runtime(bench.folder / "data", bench.folder / "cache", 1, lambda _: None)
        digests[root] = contents_at_hand(dataset_settings(root), where).digest()

    def best(root):
        return select_run.find_run(asked("run=best", "dataset=folder", f"dataset.root='{root}'")).started

    runs(folder_run(1, 0.6, here, digests[here]), folder_run(2, 0.9, there, digests[there]))
    assert best(here) == 1, "the other folder's run is better, newer, and not asked for"
    assert best(there) == 2
    with pytest.raises(UserError, match=rf"{gone}: no run saw.*{there}, {here}"):
        best(gone)
    with pytest.raises(UserError, match=rf"several folders called birds fit \({there}, {here}\)"):
        select_run.find_run(asked("run=best"))

    runs(folder_run(1, 0.9, here, "before"), folder_run(2, 0.6, here, digests[here]), folder_run(3, 0.8, here, "later"))
    assert best(here) == 2, "the clips that are there now"
    assert f"the best of 1 on the clips in {here}; 2 that saw other clips are left out" in caplog.text
    runs(folder_run(1, 0.9, here, "before"), folder_run(2, 0.6, here, "later"))
    assert best(here) == 2, "none saw the clips that are there now: the newest version"
    runs(folder_run(1, 0.9, "/once/birds", digests[here]), folder_run(2, 0.95, there, digests[there]))
    assert best(here) == 1, "it was moved"
    runs(folder_run(1, 0.9, gone, "a"), folder_run(2, 0.8, gone, "b"))
    assert best(gone) == 2
    runs(folder_run(1, 0.9, gone, "a"), folder_run(2, 0.8, here, "a"))
    assert select_run.find_run(asked("run=best")).started == 1, "one folder that moved"


def test_nobody_fits(runs, asked):
    runs(record(1, 0.9), record(2, 0.5, dataset="genre"), record(3, dataset="vocalist"))
    with pytest.raises(UserError, match=r"run=best: runs of several datasets fit \(composer, genre\)"):
        select_run.find_run(asked("run=best"))
    with pytest.raises(UserError, match=r"of 0 finished runs with dataset=ballroom, there is none"):
        select_run.find_run(asked("run=best", "dataset=ballroom"))
    with pytest.raises(UserError, match=r"of 1 finished runs .* none of them has a validation accuracy"):
        select_run.find_run(asked("run=best", "dataset=vocalist"))
    with pytest.raises(UserError, match=r"with dataset=composer head=linear head\.learning_rate=0\.5, there is none"):
        select_run.find_run(asked("run=best", "dataset=composer", "head=linear", "head.learning_rate=0.5"))


def test_a_run_is_named_by_its_beginning(runs, asked):
    one, other = record(0xA << 124), record(0xAB << 120)
    runs(one, other)
    assert select_run.find_run(asked(f"run={one.run_id}")) is one
    assert select_run.find_run(asked("run=ab")) is other
    with pytest.raises(UserError, match="run=a: 2 runs begin like this"):
        select_run.find_run(asked("run=a"))
    with pytest.raises(UserError, match="run=c: no run of the experiment 'x' begins like this"):
        select_run.find_run(asked("run=c"))
    with pytest.raises(UserError, match=r"run=ab: it has its own settings; leave head=one_vs_one out"):
        select_run.find_run(asked("run=ab", "head=one_vs_one"))


@pytest.mark.parametrize("begin", ["7000e346", "08122886", "12345678"])
def test_a_beginning_that_looks_like_a_number_is_none(runs, asked, begin):
    one = record(int(begin, 16) << 96)
    runs(one)
    assert select_run.find_run(asked(f"run={begin}")) is one
    assert select_run.find_run(asked(f"run='{begin}'")) is one


def test_a_folder_without_runs_is_told_and_left_as_it_is(asked, tmp_path):
    with pytest.raises(UserError, match=r"mlflow\.db: no such database of runs.*paths\.tracking=FOLDER"):
        select_run.find_run(asked("run=best", f"paths.tracking='{tmp_path / 'elsewhere'}'"))
    assert not (tmp_path / "elsewhere").exists()


def test_a_real_run_is_found_and_opened_where_it_is_used(bench, write_clips, asked):
    write_clips(bench.folder / "sounds", ["high", "low"], 10)
    outcome = bench.run("dataset=folder", f"dataset.root='{bench.folder / 'sounds'}'")
    for words in ([f"run={outcome.run_id}"], [f"run={outcome.run_id[:8]}"], ["run=best", "head=linear", "seed=0"]):
        model = select_run.open_model(asked(*words, "workers=1"))
        assert (model.run.run_id, model.classes) == (outcome.run_id, ("high", "low"))
    with pytest.raises(UserError, match=r"weights_file=w\.safetensors: the run's backbone has no weights"):
        select_run.open_model(asked(f"run={outcome.run_id}", "weights_file=w.safetensors"))
    with pytest.raises(UserError, match="exact: got"):
        select_run.open_model(asked(f"run={outcome.run_id}", "exact=1"))


def test_weights_that_moved_are_named(bench, write_clips, asked, tmp_path):
    import safetensors.torch

    words = ["backbone=timm", "backbone.model=test_efficientnet", "backbone.size=32", "backbone.engine=torch"]
    words.append("backbone.device=cpu")
    settings = build.plain_group(bench.config("dataset=genre", *words, "backbone.weights=random"), "backbone")
    network = build.backbone(settings, tmp_path, tmp_path, 1).network
    safetensors.torch.save_file(
        {k: v.contiguous() for k, v in network.module.state_dict().items()}, tmp_path / "a.safetensors"
    )
    write_clips(bench.folder / "sounds", ["high", "low"], 10)
    weights = f"backbone.weights='{tmp_path / 'a.safetensors'}'"
    outcome = bench.run("dataset=folder", f"dataset.root='{bench.folder / 'sounds'}'", *words, weights)
    (tmp_path / "a.safetensors").rename(tmp_path / "b.safetensors")
    build._loaded.cache_clear()
    with pytest.raises(UserError, match=r"no file .*a\.safetensors"):
        select_run.open_model(asked(f"run={outcome.run_id}"))
    select_run.open_model(asked(f"run={outcome.run_id}", f"weights_file='{tmp_path / 'b.safetensors'}'"))
