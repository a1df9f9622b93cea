from src.gallery.judged import siblings
from src.tracking.store import RunRecord


def run(number: int, seed: int, status: str = "FINISHED", **tags: str) -> RunRecord:
    known = {"dataset": "x", "seed": str(seed), "cell": "c1", "identity": f"c1 {seed}", **tags}
    return RunRecord(f"{number:032x}", "r", status, float(number), 1.0, known, {}, {}, "")


def test_the_runs_of_one_cell_the_newest_of_each_seed():
    one = run(1, seed=2)
    found = siblings(one, [run(5, 0), run(4, 7), run(3, 2), run(2, 0), one])
    assert [int(record.run_id, 16) for record in found] == [5, 1, 4]  # the run asked for stands for its own seed


def test_nothing_else_is_one():
    others = [
        run(2, 1, status="FAILED"),
        run(3, 1, cell="c2", identity="c2 1"),
        RunRecord("4", "r", "FINISHED", 4.0, 1.0, {"kind": "audit", "dataset": "x"}, {}, {}, ""),
    ]
    assert siblings(run(1, 0), others) == [run(1, 0)]


def test_a_head_without_randomness_has_one_run():
    one = run(1, 0, identity="c1")
    assert siblings(one, [run(2, 3, identity="c1"), one]) == [one]


def test_a_run_that_names_no_cell_is_alone():
    one, other = (RunRecord(str(i), "r", "FINISHED", 1.0, 1.0, {"seed": str(i)}, {}, {}, "") for i in range(2))
    assert siblings(one, [other, one]) == [one]
