"""Predictions as text that reads back to the bit."""

import csv
import io
import json
import os
from pathlib import Path

import numpy as np
import pytest

from src.errors import UserError
from src.predict.decision import Decision
from src.predict.windows import Prediction, Scored
from src.predict.writers import writer

CLASSES = ("rock, hard", 'the "blues"', "tänze")


def scored(start: float, *values: float) -> Scored:
    return Scored(float(start), start + 1.5, np.array(values, np.float32))


ONE = Prediction(Path("a/b, c.wav"), (scored(30, 0.1, 0.2, 0.7),))
THREE = Prediction(
    Path("ö.wav"), (scored(0, 1 / 3, 2 / 3, 1e-45), scored(1.5, 0.5, 0.25, 0.25), scored(3, 0.1, 0.9, 0))
)


def text(output: str, *found: Prediction) -> str:
    one = writer(output, Decision(CLASSES))
    return one.head() + "".join(one.rows(each) for each in found) + one.foot()


def bits(values) -> bytes:
    return np.array([np.float32(value) for value in values]).tobytes()


def test_csv():
    rows = list(csv.DictReader(io.StringIO(text("csv", ONE, THREE))))
    assert [(row["file"], row["part"]) for row in rows] == [
        ("a/b, c.wav", "file"), ("ö.wav", "window"), ("ö.wav", "window"), ("ö.wav", "window"), ("ö.wav", "file"),
    ]  # fmt: skip
    expected = [*ONE.windows, *THREE.windows, THREE.overall]
    for row, one in zip(rows, expected, strict=True):
        assert bits(row[f"p_{name}"] for name in CLASSES) == one.probabilities.tobytes()
        assert row["label"] == CLASSES[int(one.probabilities.argmax())]
        assert (float(row["start"]), float(row["end"])) == (one.start, one.end)
    assert rows[-1]["label"] == 'the "blues"'


def test_json():
    first, second = json.loads(text("json", ONE, THREE))
    assert (first["file"], first["label"], first["start"], first["end"]) == ("a/b, c.wav", "tänze", 30, 31.5)
    assert list(first["probabilities"]) == list(CLASSES)
    assert "windows" not in first
    for found, one in zip(second["windows"], THREE.windows, strict=True):
        assert bits(found["probabilities"].values()) == one.probabilities.tobytes()
    assert bits(second["probabilities"].values()) == THREE.overall.probabilities.tobytes()
    assert '"rock, hard": 0.33333334,' in text("json", THREE)  # the shortest text of a float32
    assert json.loads(text("json")) == []


def test_table():
    lines = text("table", ONE, THREE).splitlines()
    assert lines[0].split() == [*["label", "rock,", "hard"], "the", '"blues"', "tänze", "seconds", "file"]
    assert lines[1].startswith("tänze")
    assert lines[1].endswith("30.00-   31.50  a/b, c.wav")
    assert lines[-1].endswith("0.00-    4.50  ö.wav (mean of 3 windows)")
    assert len({line.index(".wav") - len(name) for line, name in zip(lines[2:], ["ö"] * 4, strict=True)}) == 1


def test_a_table_of_a_thousand_classes_names_the_most_probable():
    classes = tuple(f"c{i}" for i in range(1000))
    values = np.zeros(1000, np.float32)
    values[[17, 3, 999]] = [0.5, 0.3, 0.2]
    one = writer("table", Decision(classes))
    found = one.head() + one.rows(Prediction(Path("a.wav"), (Scored(0.0, 1.5, values),)))
    assert max(map(len, found.splitlines())) < 150
    assert found.splitlines()[1].split()[:2] == ["c17", "0.500"]
    assert "c3 0.300, c999 0.200, " in found
    assert "1000 classes" in found.splitlines()[0]


@pytest.mark.parametrize("output", ["table", "csv", "json"])
def test_names_of_any_bytes_can_be_written(output):
    named = Prediction(Path(os.fsdecode(b"a\xff\xc3\xb6\n\r\x1b[31m.wav")), ONE.windows)
    text = writer(output, Decision(CLASSES)).rows(named)
    assert "a\\xffö\\n\\r\\x1b[31m.wav" in text.replace("\\\\", "\\")  # JSON doubles the backslash
    assert text.encode().count(b"\n") == 1


def test_unknown_formats_are_refused():
    with pytest.raises(UserError, match="output=xml: expected table, csv, json"):
        writer("xml", Decision(CLASSES))


def decided(**changes) -> Decision:
    return Decision(("a", "b"), **changes)


def course(*values: float) -> Prediction:
    """Windows of a second each, by the probability of `a`."""
    windows = [Scored(float(i), i + 1.0, np.array([p, 1 - p], np.float32)) for i, p in enumerate(values)]
    return Prediction(Path("folder/x.wav"), tuple(windows), 4000.0)


def test_windows_of_one_label_are_joined():
    decision = decided(merge=True, threshold=0.6)
    found = decision.segments(course(0.9, 0.7, 0.5, 0.55, 0.1, 0.8))
    assert [(one.start, one.end, decision.label(one)) for one in found] == [
        (0, 2, "a"), (2, 4, "unknown"), (4, 5, "b"), (5, 6, "a"),
    ]  # fmt: skip
    assert found[0].probabilities.tolist() == pytest.approx([0.8, 0.2])


def test_a_label_track_of_audacity():
    one = writer("audacity", decided(merge=True, threshold=0.6))
    assert one.head() + one.rows(course(0.9, 0.7, 0.5, 0.1)) + one.foot() == (
        "0.000000\t2.000000\ta\n3.000000\t4.000000\tb\n"
    )


def test_a_selection_table_of_raven():
    one = writer("raven", decided(threshold=0.6))
    rows = list(csv.DictReader(io.StringIO(one.head() + one.rows(course(0.5, 0.9, 0.1))), delimiter="\t"))
    assert [row["Selection"] for row in rows] == ["1", "2"]
    assert [(row["Begin Time (s)"], row["Label"], row["Confidence"]) for row in rows] == [
        ("1.000000", "a", "0.9000"), ("2.000000", "b", "0.9000"),
    ]  # fmt: skip
    assert rows[0]["High Freq (Hz)"] == "4000"
    assert rows[0]["Begin File"] == "x.wav"


def test_sets_and_unknown_labels_are_written():
    decision = decided(quantile=0.7, threshold=0.6)
    text = writer("csv", decision)
    (row,) = csv.DictReader(io.StringIO(text.head() + text.rows(course(0.55))))
    assert (row["label"], row["set"]) == ("unknown", "a|b")
    as_json = writer("json", decision)
    (found,) = json.loads(as_json.head() + as_json.rows(course(0.2)) + as_json.foot())
    assert (found["label"], found["set"]) == ("b", ["b"])
    table = writer("table", decision)
    assert table.rows(course(0.55)).startswith("unknown  0.550  0.450")
    assert "{a, b}" in table.rows(course(0.55))


def test_calibration_keeps_the_label_and_lowers_the_confidence():
    found = decided(temperature=2.0).calibrate(course(0.9, 0.5))
    assert found.windows[0].probabilities[0] == pytest.approx(0.75)  # odds of 9 become odds of 3
    assert found.windows[1].probabilities[0] == pytest.approx(0.5)
    assert decided().calibrate(course(0.9)).windows[0].probabilities[0] == np.float32(0.9)
