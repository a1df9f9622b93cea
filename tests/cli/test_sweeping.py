"""Sweeps as a person runs them: real processes, a real database, and an honest end."""

import csv
import io
import re
import signal
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from src.cli.sweep import JobResult, duration, forecast
from src.tracking.store import RunRecord, Store, TrackingSettings

BIRDS = "vögel_lurche_nachts_2"
ARTIFACTS = ("config.yaml", "predictions.csv", "confusion.png", "head.safetensors", "head.json", "notes.json")


def store_of(folder: Path) -> Store:
    return Store(TrackingSettings(None, "earsight"), folder / "mlruns")


def sweep_table(output: str) -> list[list[str]]:
    """Rows of the table of jobs: job, settings, accuracy, seconds, state, run."""
    lines = output.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("job  "))
    widths = [match.span() for match in re.finditer(r"-+", lines[start + 1])]
    rows = []
    for line in lines[start + 2 :]:
        if not line.strip():
            return rows
        rows.append([line[a : (b if i < len(widths) - 1 else None)].strip() for i, (a, b) in enumerate(widths)])
    return rows


@pytest.fixture(scope="module")
def sweep(tmp_path_factory, run_train, tiny, write_clips):
    """Two datasets by five seeds, begun in a fresh folder."""
    folder = tmp_path_factory.mktemp("sweep")
    # One has classes with blanks and umlauts, the other clips at another rate in another format.
    write_clips(folder / "sounds" / "Vögel, Lurche (nachts) [2]", ["Zaun könig", "owl"], 15)
    write_clips(folder / "sounds" / "bells", ["high", "low"], 12, rate=22050, suffix=".flac")
    roots = "'sounds/Vögel, Lurche (nachts) [2]',sounds/bells"
    words = ["-m", *tiny, "dataset=folder", f"dataset.root={roots}", "seed=0,1,2,3,4"]
    return folder, words, run_train(words, folder)


def test_ten_jobs_make_ten_finished_runs(sweep):
    folder, _, done = sweep
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    runs = store_of(folder).runs()
    assert [run.status for run in runs] == ["FINISHED"] * 10
    cells = Counter((run.tags["dataset"], run.tags["seed"]) for run in runs)
    assert cells == {(name, str(seed)): 1 for name in (BIRDS, "bells") for seed in range(5)}
    for run in runs:
        assert 0 <= run.metrics["test/accuracy"] <= 1
        assert run.params["seed"] == run.tags["seed"]
        for tag in ("preprocess", "backbone", "weights", "head", "split", "origin", "git_commit", "provenance"):
            assert run.tags[tag]
        for name in ARTIFACTS:
            assert store_of(folder).artifact(run.run_id, name)


def test_the_first_line_says_how_much_lies_ahead(sweep):
    _, _, done = sweep
    assert re.match(r"10 jobs, 2 sets of features\. Each job's log: .*mlruns/jobs/", done.stdout.splitlines()[0])


def test_each_job_has_its_line_and_its_row(sweep):
    folder, _, done = sweep
    lines = re.findall(r"^\[(\d+)/10\] (\S+) normalized seed=(\d): accuracy (\d\.\d{3}) on \d test clips \[pixels "
                       r"\(none\), linear, recorded\] [\d.]+ s, run (\w{32})$", done.stdout, re.MULTILINE)  # fmt: skip
    assert [line[0] for line in lines] == [str(i) for i in range(1, 11)]
    runs = {run.run_id: run for run in store_of(folder).runs()}
    for _, dataset, seed, accuracy, run_id in lines:
        assert (runs[run_id].tags["dataset"], runs[run_id].tags["seed"]) == (dataset, seed)
        assert accuracy == f"{runs[run_id].metrics['test/accuracy']:.3f}"
    rows = sweep_table(done.stdout)
    assert [row[0] for row in rows] == [str(i) for i in range(1, 11)]
    assert {row[4] for row in rows} == {"finished"}
    assert {row[5] for row in rows} == set(runs)
    assert "10 of 10 jobs finished" in done.stdout


def test_seeds_share_their_test_clips_and_cost_features_once(sweep):
    folder, _, _ = sweep
    store = store_of(folder)
    tests, computed = {}, Counter()
    for run in store.runs():
        rows = csv.DictReader(io.StringIO(store.artifact(run.run_id, "predictions.csv").decode()))
        parts = tuple((row["clip"], row["part"]) for row in rows)
        tests.setdefault(run.tags["dataset"], set()).add(parts)
        computed[run.tags["dataset"]] += "seconds/backbone" in run.metrics
    assert {name: len(found) for name, found in tests.items()} == {BIRDS: 1, "bells": 1}
    assert computed == {BIRDS: 1, "bells": 1}


def test_nothing_lies_about_in_the_folder(sweep):
    folder, _, _ = sweep
    assert sorted(path.name for path in folder.iterdir()) == ["data", "mlruns", "sounds"]


def snapshot(folder: Path) -> dict[str, tuple[str, dict[str, float]]]:
    return {run.run_id: (run.status, run.metrics) for run in store_of(folder).runs()}


def test_a_second_launch_finds_everything_known_and_changes_nothing(sweep, run_train):
    folder, words, first = sweep
    before = snapshot(folder)
    done = run_train(words, folder)
    assert done.returncode == 0, done.stderr
    assert snapshot(folder) == before
    rows = sweep_table(done.stdout)
    assert {row[4] for row in rows} == {"known before"}
    assert [row[2] for row in rows] == [row[2] for row in sweep_table(first.stdout)]
    assert done.stdout.count("known, accuracy") == 10


@pytest.fixture(scope="module")
def mishaps(sweep, run_train, tiny):
    """Another launch in the same folder: two jobs that cannot run before one that can, and is made to."""
    folder, _, _ = sweep
    words = ["-m", *tiny, "dataset=folder", "dataset.root=sounds/nowhere,sounds/bells", "seed=abc,3"]
    return run_train([*words, "force=true", "workers=1"], folder)


def test_a_job_that_fails_stops_no_other(mishaps):
    assert mishaps.returncode == 1
    rows = sweep_table(mishaps.stdout)
    assert [row[4].split(":")[0] for row in rows] == ["failed", "failed", "failed", "finished"]
    assert "sounds/nowhere: no such folder" in rows[1][4]
    assert "seed: got 'abc'; expected a whole number" in rows[0][4]
    assert "1 of 4 jobs finished, 3 failed" in mishaps.stdout
    assert "Traceback" not in mishaps.stdout + mishaps.stderr


def test_weights_that_cannot_be_read_are_told_once_before_the_first_job(tmp_path, run_train, tiny, write_clips):
    write_clips(tmp_path / "sounds", ["a", "b"], 4)
    (tmp_path / "cut.safetensors").write_bytes(b"<html>not found</html>")
    save_file({"fc.weight": np.zeros((3, 96), np.float32)}, tmp_path / "other.safetensors")
    words = [word for word in tiny if not word.startswith("backbone")]
    files = "backbone.weights=random,gone.safetensors,cut.safetensors,other.safetensors"
    network = ["backbone=timm", "backbone.model=test_resnet", "backbone.size=32", files]
    done = run_train(
        ["-m", "dataset=folder", "dataset.root=sounds", *words, *network, "seed=0,1,2"], tmp_path, fresh=True
    )
    assert done.returncode == 1
    for file, reason in (("gone", "no file"), ("cut", "is not a whole"), ("other", "does not hold the weights")):
        assert re.findall(f"{file}.safetensors.*{reason}|{reason}.*{file}.safetensors", done.stderr) != []
        assert done.stderr.count(f"{file}.safetensors") == 1
    assert "seed=" not in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "mlruns" / "mlflow.db").exists(), "no run was begun"


def test_the_same_seed_gives_the_same_bits_in_another_process(sweep, mishaps):
    folder, _, _ = sweep
    store = store_of(folder)
    [one, other] = [run for run in store.runs() if (run.tags["dataset"], run.tags["seed"]) == ("bells", "3")]
    assert one.metrics["test/accuracy"] == other.metrics["test/accuracy"]
    for name in ("predictions.csv", "head.safetensors"):
        assert store.artifact(one.run_id, name) == store.artifact(other.run_id, name)


def test_a_mistake_of_ours_keeps_its_traceback_in_a_file(sweep, start_train, tiny):
    folder, _, _ = sweep
    # What no one foresaw: stands for any bug.
    program = (
        "import runpy\n"
        "from src import experiment\n"
        "def broken(*_, **__): raise ZeroDivisionError('a bug')\n"
        "experiment.run_experiment = broken\n"
        "runpy.run_module('src.train', run_name='__main__')\n"
    )
    words = [*tiny, "dataset=folder", "dataset.root=sounds/bells"]
    started = start_train(words, folder, program=program)
    assert started.process.wait(timeout=600) == 1
    started.settle()
    assert "ZeroDivisionError: a bug" in started.output
    assert "Traceback (most" not in started.output
    [path] = re.findall(r"traceback: (\S+)\)", started.output)
    assert "in broken" in (folder / path).read_text()


WRONG = [
    (["seed=-1"], "seed: got -1; expected a whole number"),
    (["trainer.max_steps=foo"], "trainer.max_steps='foo': input should be a valid integer"),
    (["datset=x"], "Could not override 'datset'"),
    (["dataset.rooot=x"], "Could not override 'dataset.rooot'"),
    (["dataset.root=Tänze (1)"], "\"dataset.root='Tänze (1)'\""),
]


@pytest.mark.parametrize(("words", "told"), WRONG, ids=[words[0] for words, _ in WRONG])
def test_a_wrong_setting_is_told_without_a_traceback(tmp_path, run_train, tiny, words, told):
    done = run_train([*tiny, "dataset=folder", "dataset.root=x", *words], tmp_path, fresh=True)
    assert done.returncode in (1, 2)
    assert told in done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert not (tmp_path / "mlruns" / "mlflow.db").exists()


def test_what_a_message_tells_to_type_works(tmp_path, run_train, tiny):
    name = "Märsche, Walzer (live) [2]"
    wrong = run_train([*tiny, "dataset=folder", f"dataset.root={name}"], tmp_path)
    assert wrong.returncode == 2
    line = wrong.stderr.splitlines()[-1].strip()
    right = run_train([*tiny, "dataset=folder", line.strip('"'), "--cfg", "job", "--package", "dataset"], tmp_path)
    assert right.returncode == 0, right.stderr
    assert f"root: {name}" in right.stdout


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_in_a_fit_kills_the_run_and_prints_the_summary(
    tmp_path, start_train, tiny, write_clips, number, status
):
    write_clips(tmp_path / "bells", ["a", "b"], 10)
    words = ["-m", *tiny, "dataset=folder", "dataset.root=bells", "trainer.max_steps=20,100000000,30"]
    started = start_train([*words, "trainer.validate_every=500"], tmp_path)
    started.until("[1/3]")
    # A point of its curve: it is in the midst of the fit, where Lightning catches interrupts too.
    started.wait_for(lambda: any("train/loss" in run.metrics for run in running(tmp_path)))
    assert started.stop(number) == status
    started.settle()
    runs: list[RunRecord] = store_of(tmp_path).runs()
    assert Counter(run.status for run in runs) == {"FINISHED": 1, "KILLED": 1}
    [killed] = [run for run in runs if run.status == "KILLED"]
    assert signal.Signals(number).name in killed.tags["reason"]
    assert "1 of 3 jobs finished, 1 failed, 1 not begun" in started.output
    assert "failed: interrupted" in started.output
    assert "Traceback" not in started.output


def running(folder: Path) -> list[RunRecord]:
    if not (folder / "mlruns" / "mlflow.db").exists():
        return []
    return [run for run in store_of(folder).runs() if run.status == "RUNNING"]


def test_a_signal_while_features_are_computed_keeps_those_that_are_done(
    tmp_path, start_train, run_train, tiny, write_clips
):
    write_clips(tmp_path / "bells", ["a", "b"], 150, seconds=1.0, rate=22050)
    words = [*tiny, "dataset=folder", "dataset.root=bells", "workers=1", "preprocess=augmented", "spectrogram=mel"]
    started = start_train(words, tmp_path)
    segments = tmp_path / "data" / ".cache" / "features"
    started.wait_for(lambda: len(list(segments.glob("*/*.safetensors"))) >= 2)
    assert started.stop(signal.SIGINT) == 130
    [run] = store_of(tmp_path).runs()
    assert run.status == "KILLED"
    from src.features.cache import listing

    kept = sum(entry["clips"] for entry in listing(segments))
    assert 64 <= kept < 300


def finished(number: int, words: str, seconds: float, stages: dict[str, float], *, known: bool = False) -> JobResult:
    outcome = {"seconds": stages, "known": known}
    return JobResult(number, words.split(), None, outcome, seconds)


JOBS = [("dataset=a", f"seed={i}") for i in range(5)] + [("dataset=b", f"seed={i}") for i in range(5)]
FEATURES = {"decode": 10.0, "picture": 20.0, "backbone": 60.0}


def test_nothing_is_forecast_without_a_basis():
    assert forecast([], JOBS) is None
    assert forecast([JobResult(0, ["dataset=a", "seed=0"], "no such folder", None, 0.1)], JOBS) is None


def test_nothing_is_forecast_when_nothing_is_left():
    assert forecast([finished(i, " ".join(JOBS[i]), 2.0, {"fit": 1.0}) for i in range(10)], JOBS) is None


def test_siblings_of_a_job_that_computed_features_take_its_fit_at_least_and_its_whole_time_at_most():
    # 4 of its kind left at 3 to 50 s, and 5 of another kind that lie between the same.
    assert forecast([finished(0, "dataset=a seed=0", 50.0, FEATURES | {"fit": 3.0})], JOBS) == (9 * 3.0, 9 * 50.0)


def test_jobs_without_features_narrow_the_range_of_their_kind_alone():
    results = [
        finished(0, "dataset=a seed=0", 50.0, FEATURES | {"fit": 3.0}),
        finished(1, "dataset=a seed=1", 4.0, {"fit": 3.0}),
        finished(2, "dataset=a seed=2", 6.0, {"fit": 3.0}),
    ]
    # 2 of the first kind at 4 to 6 s each, 5 of the other kind between the cheapest and the dearest of all.
    low, high = forecast(results, JOBS)
    assert low == 2 * 4.0 + 5 * 3.0
    assert high == 2 * 6.0 + 5 * 50.0


def test_a_run_that_was_known_tells_what_its_kind_costs():
    results = [finished(0, "dataset=a seed=0", 0.25, FEATURES | {"fit": 3.0, "finetune": 40.0}, known=True)]
    # Its siblings may be known as well, or have to be fitted: 0.25 to 43.25 s each.
    assert forecast(results, JOBS[:5]) == (4 * 0.25, 4 * 43.25)


def test_other_settings_than_seed_and_fold_make_another_kind():
    jobs = [("head=linear", "split.fold=0"), ("head=linear", "split.fold=1"), ("head=mlp", "split.fold=0")]
    results = [
        finished(0, "head=linear split.fold=0", 2.0, {"fit": 1.0}),
        finished(2, "head=mlp split.fold=0", 100.0, {"fit": 99.0}),
    ]
    assert forecast(results, jobs) == (2.0, 2.0)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.4, "0 s"), (89.0, "89 s"), (90.0, "2 min"), (3600.0, "60 min"), (5400.0, "1.5 h")]
)
def test_durations(seconds, text):
    assert duration(seconds) == text
