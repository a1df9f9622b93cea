import json
import re
from dataclasses import asdict

import numpy as np
import pytest

from src.cli.sweep import JobResult
from src.cli.sweep_table import comparison, summary
from src.evaluation.intervals import accuracy_interval
from src.experiment import Outcome
from src.tracking.results import CorrectClips

TAGS = {
    "dataset": "composer", "preprocess": "normalized", "spectrogram": "asperes", "backbone": "net", "weights": "w 1",
    "head": "linear", "split": "hash", "origin": "rendered",
}  # fmt: skip


def _job(number, accuracy, *overrides, groups=None, run=None, **tags):
    """A job whose run got the first of 50 test clips right."""
    clips = [f"clip{i}" for i in range(50)]
    correct = CorrectClips.of(clips, groups or [None] * 50, np.arange(50) < round(50 * accuracy))
    run_id, tags = run or f"id{number}", TAGS | {"identity": f"identity of {run or number}"} | tags
    outcome = Outcome(run_id, correct.accuracy, 50, {}, tags, correct)
    return JobResult(number, list(overrides), None, json.loads(json.dumps(asdict(outcome))), 1.0)


def _rows(text):
    return [re.split("  +", line) for line in text.splitlines() if line.startswith("composer")]


def _span(interval):
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"


def test_seeds_are_one_cell():
    text = comparison([_job(0, 0.8, "seed=0"), _job(1, 0.9, "seed=1")])
    interval = _span(accuracy_interval(np.arange(50) < np.array([[40], [45]])))
    made = "asperes, net (w 1), linear, split hash"
    assert _rows(text) == [["composer", "normalized", "85.0", interval, "7.1", "2", "50", "rendered", made]]
    assert "rendered: a synthesised stand-in" in text


def test_groups_are_the_sample():
    """Five singers of ten clips, three of whom are right throughout: 30 of 50 clips would seem to be 60 +- 14."""
    (row,) = _rows(comparison([_job(0, 0.6, groups=[f"singer {i // 10}" for i in range(50)])]))
    interval = accuracy_interval(np.array([[True] * 3 + [False] * 2]))
    assert row[3] == _span(interval) and interval.half_width > 0.3
    assert row[6] == "50 in 5 groups"


def test_one_group_has_no_interval():
    text = comparison([_job(0, 0.8, groups=["singer"] * 50)])
    (row,) = _rows(text)
    assert row[3] == "–" and row[6] == "50 in 1 group"
    assert "all test clips are of one group" in text


def test_a_run_that_does_not_say_which_clips_were_right_has_no_interval():
    job = _job(0, 0.8)
    job.outcome["correct"] = None
    (row,) = _rows(comparison([job]))
    assert (row[2], row[3], row[6]) == ("80.0", "–", "50")


def test_runs_on_different_clips_have_no_interval():
    jobs = [_job(0, 0.8, "seed=0"), _job(1, 0.8, "seed=1", groups=[str(i // 2) for i in range(50)])]
    assert _rows(comparison(jobs))[0][3] == "–"


@pytest.mark.parametrize("second", [{"run": "id0"}, {"identity": "identity of 0"}])
def test_a_run_counts_once(second):
    """`seed=0,0`: the second job finds the run of the first, or with force=true makes it again."""
    first = {"run": "id0"} if "run" in second else {}
    text = comparison([_job(0, 0.8, "seed=0", **first), _job(1, 0.8, "seed=0", **second)])
    (row,) = _rows(text)
    assert (row[4], row[5]) == ("-", "1"), "no deviation, one seed"
    assert "1 job is the run of another job" in text


def test_one_run_under_two_settings_is_one_row():
    jobs = [_job(i, 0.8, "seed=0", f"head.learning_rate={rate}", run="id0") for i, rate in enumerate(("0.1", "1e-1"))]
    jobs += [_job(2, 0.9, "seed=0", "head.learning_rate=0.3")]
    text = comparison(jobs)
    assert [row[2] for row in _rows(text)] == ["80.0", "90.0"]
    assert "1 job is the run of another job" in text


def test_settings_that_tags_do_not_tell_are_cells_of_their_own():
    jobs = [
        _job(i, 0.5 + rate, f"seed={seed}", "dataset=composer", f"head.learning_rate={rate}")
        for i, (rate, seed) in enumerate([(0.1, 0), (0.1, 1), (0.3, 0), (0.3, 1)])
    ]
    rows = [line for line in comparison(jobs).splitlines() if line.startswith("composer")]
    assert [row.split()[2] for row in rows] == ["60.0", "80.0"]
    assert rows[0].endswith("split hash, head.learning_rate=0.1")
    assert rows[1].endswith("split hash, head.learning_rate=0.3")


def test_runs_that_saw_other_clips_are_cells_of_their_own():
    one, other = {"data_digest": "1" * 32}, {"data_digest": "2" * 32}
    text = comparison([_job(0, 0.8, "seed=0", **one), _job(1, 0.4, "seed=1", **other), _job(2, 0.6, "seed=2", **one)])
    rows = [line for line in text.splitlines() if line.startswith("composer")]
    assert [row.split()[2] for row in rows] == ["70.0", "40.0"]
    assert [row.split()[-1] for row in rows] == ["11111111", "22222222"]


def test_the_summary_counts_what_failed_and_what_did_not_begin():
    jobs = [_job(0, 0.8, "seed=0"), JobResult(1, ["seed=1"], "no data\nat all", None, 0.5)]
    text = summary(jobs, 3)
    assert "1 of 3 jobs finished, 1 failed, 1 not begun" in text
    assert "failed: no data" in text
    nothing = summary(jobs[1:], 1)
    assert "0 of 1 jobs finished, 1 failed" in nothing


def test_jobs_that_are_one_run_are_one_row_and_the_reason_is_given():
    jobs = [_job(0, 0.8, f"dataset.clips_per_class={n}", cell="c") for n in (5, 20)]
    text = comparison(jobs)
    (row,) = [line for line in text.splitlines() if line.startswith("composer")]
    assert row.split()[2] == "80.0"
    assert row.split()[7:9] == ["1", "50"]  # runs, test clips
    assert "1 job is the run of another job, since dataset.clips_per_class changes nothing" in text


def test_a_head_without_randomness_is_one_run_over_all_seeds():
    text = comparison([_job(0, 0.8, f"seed={seed}", "head=logistic", cell="c") for seed in range(5)])
    (row,) = [line for line in text.splitlines() if line.startswith("composer")]
    assert row.split()[6:8] == ["-", "1"]  # no deviation, one run
    assert "4 jobs are runs of other jobs, since seed changes nothing there (no randomness)" in text


def test_a_job_given_twice_counts_once():
    text = comparison(
        [_job(0, 0.8, "seed=0", cell="c"), _job(0, 0.8, "seed=0", cell="c"), _job(1, 0.6, "seed=1", cell="c")]
    )
    (row,) = [line for line in text.splitlines() if line.startswith("composer")]
    assert (row.split()[2], row.split()[6:8]) == ("70.0", ["14.1", "2"])  # sd of 0.6 and 0.8: 0.2 / sqrt(2)
    assert "given twice" in text


def test_cells_of_equal_names_and_other_settings_are_two_rows():
    jobs = [_job(i, 0.5 + i / 10, f"trainer.max_steps={n}", "head=mlp", cell=f"c{n}") for i, n in enumerate((10, 3000))]
    rows = [line for line in comparison(jobs).splitlines() if line.startswith("composer")]
    assert [row.split()[-1] for row in rows] == ["trainer.max_steps=10", "trainer.max_steps=3000"]
    assert [row.split()[2] for row in rows] == ["50.0", "60.0"]
