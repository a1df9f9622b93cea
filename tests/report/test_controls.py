import numpy as np

from src.report.controls import alone, controls
from src.tracking.predictions import read_predictions
from tests.report.conftest import predictions_csv

ALL = np.ones(40, dtype=bool)


def _values(rms):
    found = read_predictions(predictions_csv(("a", "b"), ALL, rms=rms).encode(), "run")
    return alone(found, found.rms)


def test_loudness_alone_finds_what_loudness_tells():
    assert _values(lambda i: 0.1 * (1 + i % 2) + 1e-4 * i).correct == 40, "one class is twice as loud"


def test_loudness_alone_finds_nothing_where_there_is_nothing():
    found = _values(lambda i: 0.1)
    assert found.correct == 20, "the same level everywhere: one class is guessed for all"
    assert found.text == "50.0 (34.7 to 65.3)"  # Wilson's 35.2 to 64.8, with t(39) and 39 for 40 in the first term


def test_an_unknown_level_gives_no_number():
    found = read_predictions(b"clip,group,part,label,predicted,p_a\nx,,test,a,a,1\n", "run")
    assert alone(found, found.rms) is None


def test_controls_stand_beside_each_result(shelf, cells):
    overrides = ("dataset=composer", "preprocess=normalized")
    wanted = [one for name in ("table2_network", "control_pixels", "control_random") for one in cells(name, *overrides)]
    for one, right in zip(wanted, (36, 30, 20), strict=True):
        shelf.add(one, 0, np.arange(40) < right, rms=lambda i: 0.1 * (1 + i % 2))
    report = controls(shelf.desk(wanted))
    wide, cells_table, tests = report.tables
    (row,) = [dict(zip(wide.header, row, strict=True)) for row in wide.rows]
    shown = [row[name] for name in ("network", "pixels", "random weights")]
    assert shown == [f"{accuracy} (1/5)" for accuracy in ("90.0", "75.0", "50.0")]
    assert row["chance"] == "50.0"
    assert row["loudness alone"].startswith("100.0 (") and row["duration alone"].startswith("50.0 (")
    assert row["audio"] == "rendered" and row["test clips"] == "40"
    assert [r[1] for r in cells_table.rows] == ["pixels", "random weights"]
    assert "random seed 0" in cells_table.rows[1][-1]
    assert [(r[1], r[2]) for r in tests.rows] == [
        ("normalized: network − pixels", "+15.0"),
        ("normalized: network − random weights", "+40.0"),
    ]
