"""Tables 1, 3 and 4, follow-up, variance and reference: each number against what the runs were given."""

import numpy as np
import pytest

from src.evaluation.statistics import mean_overlap, overlap_matrix, variance_split
from src.report.followup import followup
from src.report.reference import reference
from src.report.table1 import table1
from src.report.table3 import table3
from src.report.table4 import paper_overlap, table4
from src.report.variance import variance

ALL = np.ones(20, dtype=bool)


def rows_of(table):
    return [dict(zip(table.header, row, strict=True)) for row in table.rows]


def test_table1_shows_what_the_runs_found_beside_the_paper(shelf, cells):
    wanted = cells("table2_network", "dataset=composer,genre")
    shelf.classes = ("beethoven", "mozart", "liszt")
    shelf.add(wanted[2], 3, ALL, origin="rendered", tags={"provenance": "a sound font"})
    report = table1(shelf.desk(wanted))
    (table,) = report.tables
    genre, composer = table.rows
    assert genre[:6] == ("genre", "missing", "3", "–", "600, 600, 600", "–")
    # 20 test clips dealt to three classes, each with a training clip beside it
    assert composer == (
        *("composer", "3", "2", "14, 14, 12", "600, 600", "30.0 s", "30 s", "20", "rendered", "a sound font"),
    )
    assert report.missing == (
        "python -m src.train -m experiment=table2_network dataset=genre preprocess=unprocessed seed=0",
    )
    assert any("stand-ins" in note and "composer" in note for note in report.notes)


def test_table3_has_the_papers_values_and_chance(shelf, cells):
    wanted = cells("table3", "dataset=ballroom2,ballroom9")
    shelf.add(wanted[0], 0, np.arange(20) < 15, origin="recorded")
    first, second = rows_of(table3(shelf.desk(wanted)).tables[0])
    assert (first["dataset"], first["paper"], first["accuracy"], first["chance"]) == (
        "ballroom2",
        "96.0",
        "75.0",
        "50.0",
    )
    assert first["difference"] == "−21.0"
    assert (second["dataset"], second["paper"], second["accuracy"]) == ("ballroom9", "63.5", "missing")


def test_table4_is_the_rms_of_each_class(shelf, cells):
    wanted = cells("table2_network", "dataset=composer", "preprocess=unprocessed")
    shelf.classes = ("beethoven", "mozart")

    def level(i):
        return 0.05 + 0.01 * (i % 4)

    shelf.add(wanted[0], 0, ALL, origin="recorded", rms=level)
    loudness, overlap = table4(shelf.desk(wanted)).tables
    beethoven, mozart = rows_of(loudness)
    # even clips are beethoven's: levels 0.05 and 0.07, ten clips of each
    values = np.repeat([0.05, 0.07], 10)
    assert (beethoven["class"], beethoven["RMS"], beethoven["sd"]) == (
        "beethoven",
        "0.060",
        f"{values.std(ddof=1):.3f}",
    )
    # with n instead of n - 1 it would be exactly 0.01
    assert loudness.data[0]["sd"] == pytest.approx(0.01 * np.sqrt(20 / 19))
    assert beethoven["paper's RMS"] == "0.06" and beethoven["difference"] in ("+0.000", "−0.000")
    assert mozart["RMS"] == "0.070" and mozart["difference"] == "+0.010" and mozart["clips"] == "20"
    expected = mean_overlap(overlap_matrix([values, values + 0.01]))
    assert overlap.data[0]["overlap"] == pytest.approx(expected)
    # two equal normals, mean 0.06 and deviation 0.03
    assert rows_of(overlap)[0]["paper's overlap"] == "100.0 %"


def test_a_stand_ins_loudness_is_not_compared(shelf, cells):
    (one,) = cells("table2_network", "dataset=composer", "preprocess=unprocessed")
    shelf.classes = ("beethoven", "mozart")
    shelf.add(one, 0, ALL, origin="rendered")
    assert {row["difference"] for row in rows_of(table4(shelf.desk([one])).tables[0])} == {"–"}


def test_the_papers_instrument_classes_hardly_overlap():
    """0.09 +- 0.06 against 0.02 +- 0.01: it says one must go past one deviation of both to meet."""
    assert 0.15 < paper_overlap("instrument") < 0.35
    assert np.isnan(paper_overlap("nsynth_organ"))


def test_followup_compares_what_the_paper_left_open(shelf, cells):
    wanted = [*cells("augmentation"), *cells("timing_timbre"), *cells("metal_classical"), *cells("loudness")]
    right = {"normalized": 10, "repeated": 12, "augmented": 18, "instrument": 20, "metre": 9}
    for one in wanted:
        count = right.get(one.label, right.get(one.condition)) if one.title in ("ballroom9", "timing_timbre") else None
        if count is not None:
            shelf.add(one, 0, np.arange(20) < count)
    report = followup(shelf.desk(wanted))
    table, comparisons = report.tables
    assert len(table.rows) == 3 + 2 + 2 + 4
    papers = {(row["dataset"], row["condition"]): row["paper"] for row in rows_of(table)}
    assert papers["ballroom9", "augmented"] == "68.1" and papers["ballroom9", "normalized"] == "63.5"
    assert papers["ballroom9", "repeated"] == papers["timing_timbre", "normalized"] == "–"
    assert papers["loudness5", "unprocessed"] == papers["loudness5", "normalized"] == "35.2*"
    assert any(note.startswith("* The paper does not say") for note in report.notes)
    found = {row["second − first"]: row for row in rows_of(comparisons)}
    assert found["augmented − normalized"]["difference"] == "+40.0"
    assert found["augmented − normalized"]["paper's difference"] == "+4.6"
    assert found["augmented − repeated (levels alone)"]["difference"] == "+30.0"
    assert found["by instrument − by metre"]["difference"] == "+55.0"
    assert found["normalized − unprocessed"]["difference"] == "missing"


def test_variance_is_split_by_dataset(shelf, cells):
    wanted = cells("split_variance", "dataset=composer", "split.seed=0,1", "seed=0,1")
    right = np.array([[10, 12], [16, 16]])
    for one, counts in zip(wanted, right, strict=True):
        for seed, count in enumerate(counts):
            shelf.add(one, seed, np.arange(20) < count)
    (row,) = rows_of(variance(shelf.desk(wanted)).tables[0])
    parts = variance_split(right / 20)
    assert row["sd of split"] == f"{100 * parts.split**0.5:.1f}" and row["sd of seed"] == f"{100 * parts.seed**0.5:.1f}"
    assert row["split's share"] == f"{100 * parts.split_share:.1f} %" and row["runs"] == "4"


def test_variance_waits_for_all_its_runs(shelf, cells):
    wanted = cells("split_variance", "dataset=composer", "split.seed=0,1", "seed=0,1")
    shelf.add(wanted[0], 0, ALL)
    report = variance(shelf.desk(wanted))
    assert rows_of(report.tables[0])[0]["accuracy"] == "missing"
    assert len(report.missing) == 2


def test_both_references_stand_side_by_side(shelf, cells):
    wanted = [*cells("reference_peak", "dataset=composer"), *cells("table2_network", "dataset=composer")]
    for one in wanted:
        peak = one.experiment == "reference_peak"
        shelf.add(one, 0, np.arange(20) < (15 if peak else 12 if one.condition == "unprocessed" else 18))
    table, comparisons = reference(shelf.desk(wanted)).tables
    assert [(row["reference"], row["condition"]) for row in rows_of(table)] == [
        ("peak", "unprocessed"),
        ("peak", "normalized"),
        ("full_scale", "unprocessed"),
        ("full_scale", "normalized"),
    ]
    assert rows_of(table)[0]["paper"] == "–", "the paper's numbers are compared with its own condition only"
    found = {row["second − first"]: row for row in rows_of(comparisons)}
    assert found["peak: normalized − unprocessed"]["difference"] == "+0.0"
    assert found["peak: normalized − unprocessed"]["outcome"] == "tie"
    assert found["full_scale: normalized − unprocessed"]["difference"] == "+30.0"
