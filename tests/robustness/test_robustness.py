"""A run's curves: exact where nothing is disturbed, computed once, and beneath the run in MLflow."""

import csv
import io

import numpy as np
import pytest
from PIL import Image

from src.errors import UserError
from src.evaluation.intervals import Interval, accuracy_interval
from src.robustness.curves import Disturbed, Point
from src.robustness.figure import draw
from src.robustness.measure import robustness, wanted
from src.robustness.perturb import Disturbance
from src.tracking.predictions import PREDICTIONS, read_predictions

NOTHING = ["level=[]", "noise=[]", "mp3=[]", "lowpass=[]", "speed=[]", "length=[]"]


@pytest.fixture
def birds(bench, write_clips):
    """Overrides for three classes, each an octave and 6 dB from the last."""
    write_clips(bench.folder / "birds", ["a", "b", "c"], 20)
    return ["dataset=folder", f"dataset.root='{bench.folder / 'birds'}'"]


@pytest.fixture
def asked(bench, compose):
    """`asked(words)`: the configuration of the command, on the bench's runs."""

    def composed(*words):
        places = [f"paths.{key}='{bench.folder / key}'" for key in ("data", "cache", "weights")]
        runs = [f"paths.tracking='{bench.tracking}'", f"tracking.experiment={bench.experiment}"]
        own = [f"folder='{bench.folder / 'out'}'", "workers=1", "progress=false"]
        return compose([*places, *runs, *own, *words], "robustness")

    return composed


def right_of(right, clips, disturbance=None):
    """A point with so many clips right."""
    return Point(disturbance, right, clips, right / clips, accuracy_interval(np.arange(clips)[None] < right))


def rows(bench):
    [path] = (bench.folder / "out").glob("*.csv")
    return list(csv.DictReader(io.StringIO(path.read_text())))


def accuracy_of(table, kind, value):
    [row] = [row for row in table if (row["disturbance"], row["value"]) == (kind, value)]
    return float(row["accuracy"])


def test_curves_of_a_run(bench, birds, asked, monkeypatch, capsys):
    outcome = bench.run(*birds, "preprocess=unprocessed")
    store = bench.store()
    before = store.get(outcome.run_id)
    words = [f"run={outcome.run_id}", *NOTHING, "level=[-40,-6,0]", "noise=[20]", "mp3=[16]", "length=[0.5]"]
    robustness(asked(*words))
    table = rows(bench)
    assert float(table[0]["accuracy"]) == outcome.accuracy  # not nearly: the same clips, features and head
    assert [(row["disturbance"], row["value"]) for row in table] == [
        ("undisturbed", ""), ("level", "-40"), ("level", "-6"), ("noise", "20"), ("mp3", "16"), ("length", "0.5"),
    ]  # fmt: skip
    assert all(float(row["low"]) <= float(row["accuracy"]) <= float(row["high"]) for row in table)
    assert {row["clips"] for row in table} == {"6"}
    assert store.get(outcome.run_id) == before
    [child] = store.runs("tags.kind = 'robustness'")
    assert child.tags["mlflow.parentRunId"] == child.tags["robustness.of"] == outcome.run_id
    assert child.status == "FINISHED"
    assert child.params["level"] == "[-40.0, -6.0]"
    curve = store.client.get_metric_history(child.run_id, "accuracy/level")
    assert {point.step: point.value for point in curve} == {
        0: outcome.accuracy, -40: accuracy_of(table, "level", "-40"), -6: accuracy_of(table, "level", "-6"),
    }  # fmt: skip
    [name] = [item.path for item in store.client.list_artifacts(child.run_id) if item.path.endswith(".csv")]
    assert store.artifact(child.run_id, name) == (bench.folder / "out" / name).read_bytes()
    assert "undisturbed" in capsys.readouterr().out

    monkeypatch.setattr(Disturbed, "prepare", lambda *_: pytest.fail("computed again"))
    robustness(asked(*words))
    assert [run.run_id for run in store.runs("tags.kind = 'robustness'")] == [child.run_id]
    assert rows(bench) == table


def test_level_means_nothing_once_it_is_normalized_and_everything_to_a_drawn_waveform(bench, birds, asked):
    for condition in ("normalized", "unprocessed"):
        outcome = bench.run(*birds, f"preprocess={condition}", "trainer.max_steps=400")
        robustness(asked(f"run={outcome.run_id}", *NOTHING, "level=[-40]"))
        table = rows(bench)
        if condition == "normalized":
            assert accuracy_of(table, "level", "-40") == outcome.accuracy
        else:
            # Three classes 6 dB apart, all drawn within a row of the middle: one answer for all.
            assert outcome.accuracy > 0.9
            assert accuracy_of(table, "level", "-40") == pytest.approx(1 / 3)
        for path in (bench.folder / "out").iterdir():
            path.unlink()


def test_an_interrupted_measurement_goes_on_where_it_was(bench, birds, asked, monkeypatch):
    outcome = bench.run(*birds)
    words = [f"run={outcome.run_id}", *NOTHING, "noise=[0,10]"]
    made, whole = [], Disturbed.prepare

    def counted(self, path, window):
        if len(made) == 8:
            raise KeyboardInterrupt
        made.append(path)
        return whole(self, path, window)

    with monkeypatch.context() as patched:
        patched.setattr(Disturbed, "prepare", counted)
        with pytest.raises(KeyboardInterrupt):
            robustness(asked(*words))
    assert bench.store().runs("tags.kind = 'robustness'") == []
    again = []
    monkeypatch.setattr(
        Disturbed, "prepare", lambda self, path, window: (again.append(path), whole(self, path, window))[1]
    )
    robustness(asked(*words))
    # The first noise is done; of the second, what was in flight may be lost: as many as one worker is given.
    assert 4 <= len(again) <= 6
    assert len(made) == 8
    assert len(rows(bench)) == 3


def test_features_that_hear_the_waveform_are_disturbed_too(bench, birds, asked):
    outcome = bench.run(*birds, "backbone=marsyas", "head=random_forest")
    robustness(asked(f"run={outcome.run_id}", *NOTHING, "lowpass=[100]"))
    table = rows(bench)
    assert float(table[0]["accuracy"]) == outcome.accuracy
    assert accuracy_of(table, "lowpass", "100") < outcome.accuracy


def test_clips_that_were_moved_are_found_and_others_refused(bench, birds, asked, write_clips):
    outcome = bench.run(*birds)
    words = [f"run={outcome.run_id}", *NOTHING, "level=[-6]"]
    (bench.folder / "birds").rename(bench.folder / "moved")
    robustness(asked(*words, f"root='{bench.folder / 'moved'}'"))
    assert float(rows(bench)[0]["accuracy"]) == outcome.accuracy
    write_clips(bench.folder / "birds", ["a", "b", "c"], 19)
    with pytest.raises(UserError, match=r"not the clips that run .* was made with"):
        robustness(asked(*words))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["level=[3]"], r"level: got 3; expected -120 to 0 dB"),
        (["mp3=[33]"], r"mp3: got 33 kbit/s; expected some of 8, 16"),
        (["speed=[fast]"], r"speed: got 'fast'; expected 0\.1 to 10 times"),
        (["length=[0]"], r"length: got 0; expected 0\.001 to 1$"),
        ([*NOTHING, "level=[0]"], r"nothing to measure"),
        (["level=3"], r"level: got 3; expected a list"),
    ],
    ids=range(6),
)
def test_what_is_impossible_is_named(asked, words, message):
    with pytest.raises(UserError, match=message):
        wanted(asked("run=x", *words))


def test_what_is_shipped_can_be_measured(asked):
    found = wanted(asked("run=x"))
    assert len(found) == 32
    assert len({one.kind for one in found}) == 6


@pytest.mark.parametrize("interval", [Interval(0.2, 0.9), None])
def test_a_figure_of_few_and_of_many_curves(interval):
    def of(*kinds):
        points = [Point(None, 8, 10, 0.8, interval)]
        points += [Point(Disturbance(kind, value, 0), 5, 10, 0.5, interval) for kind in kinds for value in (0.5, 0.9)]
        with Image.open(io.BytesIO(draw(points, 0.3, "title"))) as image:
            return image.size

    few, many = of("speed"), of("level", "noise", "mp3", "lowpass", "speed")
    assert few[0] < many[0]
    assert few[1] < many[1]


def test_a_disturbed_recipe_has_a_key_of_its_own(bench, birds):
    pipeline = bench.configured(*birds).pipeline
    disturbed = Disturbed(pipeline.image_transform, pipeline.backbone, Disturbance("level", -6.0, 0))
    assert {key: value for key, value in disturbed.key().items() if key != "disturbance"} == pipeline.key()
    assert disturbed.key() != pipeline.key()


def test_the_band_reaches_from_the_lower_end_of_the_interval_to_the_upper(figures):
    points = [right_of(90, 100)]
    points += [right_of(right, 100, Disturbance("noise", value, 0)) for value, right in ((10.0, 40), (20.0, 70))]
    draw(points, 0.3, "title")
    axes = next(axes for axes in figures[0].axes if axes.collections)
    assert axes.get_ylabel() == "accuracy, %"
    values, accuracy = axes.lines[-1].get_data()
    assert (list(values), list(accuracy)) == ([10.0, 20.0], pytest.approx([40.0, 70.0]))
    band = axes.collections[0].get_paths()[0].vertices
    for value, point in zip((10.0, 20.0), points[1:], strict=True):
        reached = band[band[:, 0] == value, 1]
        assert reached.min() == pytest.approx(100 * point.interval.low)
        assert reached.max() == pytest.approx(100 * point.interval.high)
        assert reached.min() < 100 * point.accuracy < reached.max()


def test_each_row_of_curves_has_its_axis_named_and_no_empty_axes_are_shown(figures):
    kinds = ("level", "noise", "mp3", "lowpass", "speed")
    points = [right_of(8, 10)]
    points += [right_of(5, 10, Disturbance(kind, value, 0)) for kind in kinds for value in (0.5, 0.9)]
    draw(points, 0.3, "title")
    shown = [axes for axes in figures[0].axes if axes.get_visible()]
    assert [axes.get_ylabel() for axes in shown] == ["accuracy, %", "", "", "accuracy, %", ""]


def test_intervals_are_over_groups(bench, birds, asked):
    """Clips of one number, one of each class, are a group."""
    outcome = bench.run(*birds, "split=grouped", "dataset.group_pattern='[^/]*/(\\d+)'")
    robustness(asked(f"run={outcome.run_id}", *NOTHING, "level=[-40]"))
    run = read_predictions(bench.store().artifact(outcome.run_id, PREDICTIONS), outcome.run_id)
    where = run.where("test")
    correct = np.array([[run.predicted[i] == run.labels[i] for i in where]])
    expected = accuracy_interval(correct, [run.groups[i] for i in where])
    assert len({run.groups[i] for i in where}) < len(where)
    assert (float(rows(bench)[0]["low"]), float(rows(bench)[0]["high"])) == pytest.approx(
        (expected.low, expected.high), abs=1e-6
    )
