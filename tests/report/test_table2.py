import re

import numpy as np
import pytest

from src.evaluation.intervals import accuracy_interval
from src.evaluation.text_table import signed
from src.report.table2 import table2

CLIPS = 40
CONDITIONS = ("unprocessed", "normalized", "augmented")
# right of 40 test clips: (classifier, condition) -> the five seeds
RIGHT = {
    ("network", "unprocessed"): (30, 31, 32, 33, 34),
    ("network", "normalized"): (36, 36, 36, 36, 36),
    ("network", "augmented"): (20, 22, 24, 26, 28),
    ("baseline", "unprocessed"): (38, 38, 39, 39, 40),
    ("baseline", "normalized"): (38, 38, 39, 39, 40),
}


@pytest.fixture
def wanted(cells):
    """Cells of network and baseline for two datasets."""
    names = ("table2_network", "table2_baseline")
    return [one for name in names for one in cells(name, "dataset=composer,genre")]


@pytest.fixture
def filled(shelf, wanted):
    """Composer but for the baseline's augmented cell, from the numbers above; genre has no runs."""
    for one in wanted:
        kind = "network" if one.experiment == "table2_network" else "baseline"
        counts = RIGHT.get((kind, one.condition)) if one.title == "composer" else None
        for seed, count in enumerate(counts or ()):
            shelf.add(one, seed, np.arange(CLIPS) < count)
    return shelf


def _rows(table):
    return [dict(zip(table.header, row, strict=True)) for row in table.rows]


def test_every_cell_is_what_its_runs_say(filled, wanted):
    report = table2(filled.desk(wanted))
    wide, cells, _, _ = report.tables
    assert len(cells.rows) == len(cells.data) == 12
    for row, data in zip(_rows(cells), cells.data, strict=True):
        counts = RIGHT.get((row["classifier"], row["condition"])) if row["dataset"] == "composer" else None
        if counts is None:
            assert row["accuracy"] == "missing" and row["seeds"] == "0 of 5"
            assert "accuracy" not in data and data["run_ids"] == ""
            kind = f"table2_{row['classifier']}"
            expected = f"experiment={kind} dataset={row['dataset']} preprocess={row['condition']} seed=0,1,2,3,4"
            assert data["missing_command"] == f"python -m src.train -m {expected}"
            continue
        shares = np.array(counts) / CLIPS
        assert row["accuracy"] == f"{100 * shares.mean():.1f}" and data["accuracy"] == pytest.approx(
            100 * shares.mean()
        )
        assert row["sd"] == f"{100 * shares.std(ddof=1):.1f}"
        interval = accuracy_interval(np.arange(CLIPS) < np.array(counts)[:, None])
        assert row["95 % interval"] == f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"
        assert row["test clips"] == "40" and row["seeds"] == "5" and row["audio"] == "rendered"
        assert row["made by"] == ("efficientnet_lite0 1a2b3c4d" if row["classifier"] == "network" else "marsyas")
        ids = [
            filled.added[f"table2_{row['classifier']} dataset=composer preprocess={row['condition']}", s]
            for s in range(5)
        ]
        assert data["run_ids"] == " ".join(ids), "each cell is traceable to its runs"
    (composer, genre) = _rows(wide)
    assert composer["paper: network, normalized"] == "73.9" and composer["network, normalized"] == "90.0 ± 0.0"
    assert composer["baseline, augmented"] == "missing" and composer["classes"] == "2"
    assert genre["network, unprocessed"] == "missing" and genre["paper: baseline, unprocessed"] == "97.1"


def test_comparisons_are_of_the_cells(filled, wanted):
    _, _, paper, beyond = table2(filled.desk(wanted)).tables
    found = {(row["dataset"], row["second − first"]): row for row in _rows(paper)}
    assert len(found) == 8
    norm = found["composer", "network: normalized − unprocessed"]
    assert norm["difference"] == signed((36 - 32) / 40) and norm["paper's difference"] == "+9.4"
    same = found["composer", "baseline: normalized − unprocessed"]
    assert same["difference"] == "+0.0" and same["outcome"] == "tie" and same["2 points"] == "agrees"
    assert found["composer", "normalized: network − baseline"]["difference"] == signed((36 - 38.8) / 40)
    assert found["genre", "normalized: network − baseline"]["difference"] == "missing"
    worse = next(row for row in _rows(beyond) if row["second − first"] == "network: augmented − normalized")
    assert worse["outcome"] == "lower"


def test_a_stand_in_is_never_compared_with_the_paper(filled, wanted):
    report = table2(filled.desk(wanted))
    for row, data in zip(_rows(report.tables[1]), report.tables[1].data, strict=True):
        assert row["difference"] == "–"
        assert row["verdict"] == ("stand-in" if row["accuracy"] != "missing" and row["paper"] != "–" else "–")
        assert data.get("difference") is None
    assert any("Rendered stand-ins, whose numbers say nothing" in note for note in report.notes)


def test_recordings_are_compared_with_the_paper(shelf, cells):
    wanted = cells("table2_network", "dataset=composer")
    for one, right in zip(wanted, (645, 800, 700), strict=True):  # of 1000; the paper: 64.5, 73.9, nothing
        for seed in range(2):
            shelf.add(one, seed, np.arange(1000) < right, origin="recorded")
    report = table2(shelf.desk(wanted))
    plain, normal, augmented = _rows(report.tables[1])
    assert plain["difference"] == "+0.0" and plain["verdict"] == "reproduced"
    assert normal["difference"] == "+6.1" and normal["verdict"] == "not reproduced"
    assert augmented["paper"] == "–" and augmented["difference"] == "–" and augmented["verdict"] == "–"
    assert not any("stand-ins" in note for note in report.notes)
    assert any("efficientnet_lite0, not the paper's" in note for note in report.notes)


def test_too_few_clips_give_no_verdict(shelf, cells):
    (one,) = cells("table2_network", "dataset=composer", "preprocess=normalized")
    shelf.add(one, 0, np.arange(120) < 90, origin="recorded")
    row = _rows(table2(shelf.desk([one])).tables[1])[0]
    (needed,) = re.fullmatch(r"too few clips, (\d+) would do", row["verdict"]).groups()
    # 1.96^2 * 0.75 * 0.25 / 0.03^2 = 800 by the textbook, which is too few only for the smallest samples
    assert int(needed) == pytest.approx(800, rel=0.05)


def test_versions_reruns_and_partial_cells_are_told(shelf, cells):
    one, other, third = cells("table2_network", "dataset=composer")
    shelf.add(one, 0, np.ones(10, dtype=bool), tags={"git_commit": "1111111100", "result_version": "1"})
    shelf.add(one, 0, np.ones(10, dtype=bool), tags={"git_commit": "2222222200", "result_version": "1"})
    shelf.add(other, 0, np.ones(10, dtype=bool), tags={"git_commit": "33333333+changes", "result_version": "2"})
    shelf.add(third, 4, np.ones(10, dtype=bool), failure="no more disk")
    notes = " ".join(table2(shelf.desk([one, other, third])).notes)
    assert "the newest counts; 1 older left out" in notes
    assert "2 different commits: 22222222, 33333333+changes" in notes
    assert "different result versions (1, 2)" in notes
    assert "Fewer seeds than wanted: table2_network dataset=composer preprocess=unprocessed" in notes
    assert "preprocess=augmented seed 4: failed (RuntimeError: no more disk)" in notes


def test_cells_tested_on_different_clips_are_an_error(shelf, cells):
    one, other, _ = cells("table2_network", "dataset=composer")
    shelf.add(one, 0, np.ones(10, dtype=bool))
    shelf.add(other, 0, np.ones(9, dtype=bool))
    report = table2(shelf.desk([one, other]))
    assert len(report.errors) == 1 and "tested on different clips" in report.errors[0]
    assert _rows(report.tables[2])[0]["difference"] == "no number: see errors"


def test_missing_runs_have_as_few_commands_as_will_do(filled, wanted):
    rest = "dataset=genre preprocess=unprocessed,normalized,augmented seed=0,1,2,3,4"
    start, seeds = "python -m src.train -m experiment=table2_", "seed=0,1,2,3,4"
    assert table2(filled.desk(wanted)).missing == (
        f"{start}network {rest}",
        f"{start}baseline dataset=composer,genre preprocess=augmented {seeds}",
        f"{start}baseline dataset=genre preprocess=unprocessed,normalized {seeds}",
    )
