"""What `python -m src.prepare` leaves behind."""

import json

import pytest

from src.errors import UserError
from src.prepare.dataset import make_ready
from src.tracking.store import Store, TrackingSettings


def test_a_prepared_dataset_is_a_run_of_its_own(bench, write_clips, capsys):
    write_clips(bench.folder / "sounds", ["high", "low"], 3)
    words = [f"dataset.root='{bench.folder / 'sounds'}'", "dataset=folder"]
    cfg = bench.compose([word for word in bench.overrides(*words) if not word.startswith("trainer")], "prepare")
    make_ready(cfg)
    make_ready(cfg)  # nothing has changed, so nothing is added
    store = Store(TrackingSettings(None, bench.experiment), bench.tracking)
    [run] = store.runs()
    assert (run.tags["kind"], run.tags["dataset"], run.tags["origin"]) == ("prepare", "sounds", "recorded")
    assert (run.metrics["clips"], run.metrics["clips/high"], run.metrics["clips/low"]) == (6, 3, 3)
    kept = json.loads(store.artifact(run.run_id, "manifest.json"))
    assert kept == json.loads((bench.folder / "data" / ".manifests" / "sounds.json").read_text())
    assert "6 clips" in capsys.readouterr().out
    write_clips(bench.folder / "sounds", ["third"], 3)
    make_ready(cfg)
    assert len(store.runs()) == 2
    assert len({run.tags["data_digest"] for run in store.runs()}) == 2


def test_recordings_of_other_classes_are_asked_about_before_anything_is_fetched(bench, write_clips):
    write_clips(bench.folder / "sounds", ["high", "low"], 1)
    words = [f"dataset.root='{bench.folder / 'sounds'}'", "dataset=ballroom"]
    cfg = bench.compose([word for word in bench.overrides(*words) if not word.startswith("trainer")], "prepare")
    with pytest.raises(UserError, match="dataset=folder"):
        make_ready(cfg)
    assert not (bench.folder / "data").exists()
