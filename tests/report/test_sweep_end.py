from src.report.sweep import comparison, summary
from src.sweeping import JobResult

TAGS = {
    "dataset": "composer", "preprocess": "normalized", "spectrogram": "asperes", "backbone": "net", "weights": "w 1",
    "head": "linear", "split": "hash", "origin": "rendered",
}  # fmt: skip


def _job(number, accuracy, *overrides, **tags):
    outcome = {"run_id": f"id{number}", "accuracy": accuracy, "test_clips": 50, "tags": TAGS | tags, "known": False}
    return JobResult(number, list(overrides), None, outcome, 1.0)


def test_seeds_are_one_cell():
    text = comparison([_job(0, 0.8, "seed=0"), _job(1, 0.9, "seed=1")])
    (row,) = [line for line in text.splitlines() if line.startswith("composer")]
    # Wilson at 42.5 of 50: centre (0.85 + 1.92/50) / (1 + 3.84/50) = 0.825, half-width 0.099
    expected = "composer normalized 85.0 72.6 to 92.4 7.1 2 50 rendered asperes, net (w 1), linear, split hash"
    assert " ".join(row.split()) == expected
    assert "rendered: a synthesised stand-in" in text


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
