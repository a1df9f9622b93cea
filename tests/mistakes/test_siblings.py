from dataclasses import replace

from src.mistakes.siblings import siblings
from src.tracking import RunRecord

TAGS = {
    "dataset": "x", "preprocess": "normalized", "spectrogram": "asperes", "backbone": "pixels", "weights": "none",
    "head": "linear", "split": "hash", "origin": "recorded", "data_digest": "d1", "result_version": "1",
}  # fmt: skip
PARAMS = {
    "backbone._target_": "src.backbone.pixels.Pixels", "backbone.rows": "4", "head.learning_rate": "0.01",
    "split.name": "hash", "dataset.name": "x", "workers": "1", "paths.data": "/one", "seed": "0",
}  # fmt: skip


def run(number: int, seed: int, **changes) -> RunRecord:
    tags = {**TAGS, "seed": str(seed), **changes.pop("tags", {})}
    params = {**PARAMS, "seed": str(seed), **changes.pop("params", {})}
    record = RunRecord(f"{number:032x}", "r", "FINISHED", float(number), 1.0, tags, params, {}, "")
    return replace(record, **changes)


def test_the_same_settings_under_other_seeds_the_newest_of_each():
    one = run(1, seed=2)
    found = siblings(one, [run(5, 0), run(4, 7), run(3, 2), run(2, 0), one])
    assert [int(record.run_id, 16) for record in found] == [5, 1, 4]  # the run asked for stands for its own seed


def test_where_and_how_fast_it_ran_does_not_matter():
    found = siblings(run(1, 0), [run(2, 1, params={"workers": "8", "paths.data": "/two"}, tags={"transfer": "frozen"})])
    assert len(found) == 2


def test_anything_else_does():
    others = [
        run(2, 1, status="FAILED"),
        run(3, 1, tags={"data_digest": "d2"}),
        run(4, 1, tags={"preprocess": "unprocessed"}, params={"preprocess.levels_dbfs": "[]"}),
        run(5, 1, params={"head.learning_rate": "0.1"}),
        run(6, 1, params={"backbone.rows": "8"}),
        run(7, 1, tags={"weights": "random seed 0"}),
        run(8, 1, tags={"result_version": "2"}),
        run(9, 1, params={"backbone.engine": "torch"}),
        run(10, 1, tags={"transfer": "finetune"}),
        replace(run(11, 1), tags={"kind": "audit", "dataset": "x"}, params={}),
    ]
    assert siblings(run(1, 0), others) == [run(1, 0)]
