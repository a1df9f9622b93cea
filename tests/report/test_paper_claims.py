from dataclasses import replace

import numpy as np
import pytest

from src.evaluation.comparison import Comparison
from src.evaluation.intervals import Clusters, Interval
from src.evaluation.statistics import Correlation
from src.report import paired
from src.report import verdicts as judging
from src.report.claims import claims
from src.report.evidence import paper_loudness_and_change
from src.report.paired import Compared, Pair


@pytest.fixture
def outcome(shelf, cells):
    """`outcome(difference, low, high, p, refusal)`: a comparison that came out so, in points."""
    wanted = cells("augmentation")[:2]
    for one in wanted:
        shelf.add(one, 0, np.ones(4, dtype=bool))
    first, second = shelf.desk(wanted).of("augmentation")

    def made(difference, low, high, p=0.5, refusal=""):
        interval = Interval(low / 100, high / 100)
        result = Comparison(Clusters.of(None, 1000), difference / 100, interval, p, p, None, refusal)
        return Compared(Pair("d", "w", first, second), result, p=p)

    return made


MISSING = "missing"


def test_no_loss_needs_an_interval_above_minus_two_points(outcome):
    assert judging.no_loss(outcome(0.5, -1.9, 3)).verdict == "supported"
    assert judging.no_loss(outcome(0.5, -2.1, 3)).verdict == "undecided"
    assert judging.no_loss(outcome(-5, -8, -2, p=0.01)).verdict == "contradicted"
    small = outcome(-1, -1.5, -0.5, p=0.01)
    assert judging.no_loss(small).verdict == "supported", "a real loss below the paper's own margin"


def test_a_direction_is_supported_contradicted_or_open(outcome):
    assert judging.lower(outcome(-5, -8, -2, p=0.01)).verdict == "supported"
    assert judging.lower(outcome(5, 2, 8, p=0.01)).verdict == "contradicted"
    assert judging.lower(outcome(-1, -6, 4, p=0.6)).verdict == "undecided"
    assert judging.lower(outcome(-0.2, -1.5, 1.0, p=0.6)).verdict == "contradicted", "surely less than two points"
    assert judging.higher(outcome(5, 2, 8, p=0.01)).verdict == "supported"
    assert "−5.0 points (−8.0 to −2.0), p = 0.010" in judging.lower(outcome(-5, -8, -2, p=0.01)).evidence


@pytest.mark.parametrize(("clips", "equal"), [(100, False), (180, False), (190, True)])
def test_few_clips_show_no_equality(shelf, cells, clips, equal):
    """No clip differed: up to 1 - 0.025^(1/n) of all clips may, which is below two points from 183 clips on."""
    wanted = cells("augmentation")[:2]
    for one in wanted:
        shelf.add(one, 0, np.arange(clips) < 80)
    first, second = shelf.desk(wanted).of("augmentation")
    (one,) = paired.family([Pair("d", "w", first, second)])
    assert judging.none_differs([one]).verdict == ("supported" if equal else "undecided")
    assert judging.no_loss(one).verdict == ("supported" if equal else "undecided")
    assert judging.lower(one).verdict == ("contradicted" if equal else "undecided")


def test_nothing_is_said_without_a_verdict(outcome):
    """From three speakers there is an interval, but no test."""
    few = outcome(-9, -10, 0, p=np.nan, refusal="3 groups")
    equal = outcome(0, -1, 1, p=np.nan, refusal="3 groups")
    for one in (few, equal):
        assert judging.no_loss(one).verdict == judging.lower(one).verdict == judging.higher(one).verdict == "undecided"
        assert judging.none_differs([one]).verdict == judging.some_differ([one]).verdict == "undecided"
    assert "no verdict: 3 groups" in judging.lower(few).evidence


def test_it_matters_if_it_does_anywhere(outcome):
    real, equal, wide = outcome(-5, -8, -2, p=0.01), outcome(0, -1, 1, p=0.9), outcome(0, -9, 9, p=0.9)
    assert judging.some_differ([equal, real]).verdict == "supported"
    assert judging.some_differ([equal, equal]).verdict == "contradicted"
    assert judging.some_differ([equal, wide]).verdict == "undecided"
    assert judging.none_differs([equal, equal]).verdict == "supported"
    assert judging.none_differs([equal, real]).verdict == "contradicted"
    assert judging.none_differs([equal, wide]).verdict == "undecided"


def test_missing_runs_give_no_verdict(outcome):
    gone = replace(outcome(0, 0, 0), result=None)
    broken = replace(gone, error="different clips")
    equal, real = outcome(0, -1, 1, p=0.9), outcome(-5, -8, -2, p=0.01)
    assert judging.no_loss(gone).verdict == judging.lower(gone).verdict == MISSING
    assert judging.lower(broken).verdict == "error" and judging.lower(broken).evidence == "different clips"
    assert judging.none_differs([equal, gone]).verdict == MISSING
    assert judging.some_differ([real, gone]).verdict == "supported" and judging.some_differ([]).verdict == MISSING


def test_a_correlation_is_judged_by_sign_and_p():
    theirs = Correlation(0.9, 0.02, exact=True)
    assert judging.related(Correlation(0.8, 0.01, exact=True), 9, theirs).verdict == "supported"
    assert judging.related(Correlation(-0.8, 0.01, exact=True), 9, theirs).verdict == "contradicted"
    assert judging.related(Correlation(0.3, 0.4, exact=True), 9, theirs).verdict == "undecided"
    assert judging.related(Correlation(np.nan, np.nan, exact=True), 2, theirs).verdict == MISSING


def test_seeds_agree_within_two_points(shelf, cells):
    one, other, third = cells("table2_network", "dataset=composer")
    for seed, right in enumerate((98, 99, 100)):
        shelf.add(one, seed, np.arange(100) < right)
    rows = shelf.desk([one]).of("table2_network")
    assert judging.seeds_agree(rows).verdict == "supported"
    for seed, right in enumerate((96, 99)):
        shelf.add(other, seed, np.arange(100) < right)
    judged = judging.seeds_agree(shelf.desk([one, other]).of("table2_network"))
    assert judged.verdict == "contradicted"
    assert judged.evidence == "more in 1 of 2 cells; the most is 3.0 points (composer, normalized, 100 test clips)"
    for seed, right in enumerate((19, 20)):  # of 20 clips one is five points
        shelf.add(third, seed, np.arange(20) < right)
    assert judging.seeds_agree(shelf.desk([one, third]).of("table2_network")).verdict == "undecided"
    assert judging.seeds_agree([]).verdict == MISSING


def test_not_learnt_means_chance(shelf, cells):
    by_instrument, by_metre = cells("timing_timbre")
    shelf.add(by_metre, 0, np.arange(1000) % 4 < 2)  # half of each class
    shelf.add(by_instrument, 0, np.arange(1000) < 900)
    instrument, metre = shelf.desk([by_instrument, by_metre]).of("timing_timbre")
    assert judging.not_learnt(metre).verdict == "supported"
    assert judging.not_learnt(instrument).verdict == "contradicted"
    assert judging.not_learnt(None).verdict == MISSING


def test_clips_of_one_group_at_chance_are_undecided(shelf, cells):
    (_, by_metre) = cells("timing_timbre")
    shelf.add(by_metre, 0, np.arange(1000) % 4 < 2, groups=["one player"] * 1000)
    assert judging.not_learnt(shelf.desk([by_metre]).of("timing_timbre")[0]).verdict == "undecided"


def test_few_clips_at_chance_are_undecided(shelf, cells):
    (_, by_metre) = cells("timing_timbre")
    shelf.add(by_metre, 0, np.arange(24) % 4 < 2)
    assert judging.not_learnt(shelf.desk([by_metre]).of("timing_timbre")[0]).verdict == "undecided"


def test_the_papers_own_numbers_on_loudness(shelf):
    """Its six datasets: the loss is where loudness differs most (instrument), the gains where it is alike."""
    found = paper_loudness_and_change(shelf.desk([]))
    assert found.exact and 0.4 < found.r <= 1


def test_the_table_of_claims(shelf, cells):
    overrides = "dataset=genre,short_genre"
    wanted = [*cells("table2_network", overrides), *cells("table2_baseline", overrides)]
    for one in wanted:
        if one.condition == "normalized":
            lost = one.experiment == "table2_baseline" and one.title == "short_genre"
            right = np.arange(400) < (300 if lost else 360)
            for seed in (0, 1):
                shelf.add(one, seed, right, seconds={"fit": 2.0, "decode": 1.0, "picture": 2.0, "backbone": 3.0})
    report = claims(shelf.desk(wanted))
    table, tests = report.tables
    found = {(row["statement"], row["tested on"]): row for row in table.data}
    full = ("Clips of 30 s lose nothing against full songs", "genre, network, normalized: short − full")
    assert found[full]["verdict"] == "supported" and found[full]["audio"] == "rendered"
    drop = "The baseline drops when full songs become 30 s"
    assert found[drop, "genre, baseline, normalized: short − full"]["verdict"] == "supported"
    assert found[drop, "genre, baseline, unprocessed: short − full"]["verdict"] == MISSING
    assert found["The baseline is clearly better on genre", "genre, normalized: network − baseline"]["verdict"] == (
        "contradicted"
    )
    assert found["The baseline is clearly better on vocalist", "vocalist, normalized: network − baseline"][
        "verdict"
    ] == (MISSING)
    (cost,) = [row for row in table.data if row["statement"].startswith("Hours")]
    assert cost["verdict"] == "supported"
    # 6 s for 800 clips is 13.5 s for the paper's 1800
    assert "last layer: 2.0 s on average, 2.0 s at most over 4 runs" in cost["evidence"]
    assert "0.2 to 0.2 min of one core" in cost["evidence"]
    assert len(tests.rows) == 4 + 4 + 1


@pytest.mark.parametrize(("network", "baseline", "verdicts"), [
    (360, 200, ("supported", "contradicted", "contradicted")),
    (200, 360, ("contradicted", "supported", "supported")),
])  # fmt: skip
def test_network_against_baseline_is_judged_the_right_way_round(shelf, cells, network, baseline, verdicts):
    titles = ("ballroom", "genre", "vocalist")
    words = (f"dataset={','.join(titles)}", "preprocess=normalized")
    wanted = [*cells("table2_network", *words), *cells("table2_baseline", *words)]
    for one in wanted:
        shelf.add(one, 0, np.arange(400) < (network if one.experiment == "table2_network" else baseline))
    found = {row["statement"]: row["verdict"] for row in claims(shelf.desk(wanted)).tables[0].data}
    statements = (
        "The network beats the baseline on normalized Ballroom",
        "The baseline is clearly better on genre",
        "The baseline is clearly better on vocalist",
    )
    assert tuple(found[statement] for statement in statements) == verdicts


@pytest.mark.parametrize(("experiment", "statement", "better", "words"), [
    ("augmentation", "Copies at eight levels help", "augmented", ()),
    ("timing_timbre", "Timbre is learnt rather than timing", "instrument", ()),
])  # fmt: skip
def test_what_the_paper_calls_better_is_supported_where_it_is_and_contradicted_where_it_is_worse(
    shelf, cells, experiment, statement, better, words
):
    wanted = [one for one in cells(experiment, *words) if one.title in ("ballroom9", "timing_timbre")]
    verdicts = []
    for right in (360, 200):
        for one in wanted:
            is_better = better in (one.label, one.condition)
            shelf.add(one, 0, np.arange(400) < (right if is_better else 280), data=f"data-{right}")
        table = claims(shelf.desk(wanted)).tables[0]
        verdicts += [row["verdict"] for row in table.data if row["statement"] == statement]
    assert verdicts == ["supported", "contradicted"]
