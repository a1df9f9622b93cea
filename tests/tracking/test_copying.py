"""A run read from one store and written to another is the same run."""

import math
from pathlib import Path

import pytest

from src.tracking.copying import Copy, artifacts
from src.tracking.owner import Owner
from src.tracking.store import Store, TrackingSettings

# Past MLflow's limits in one call: 100 params, 1000 metrics.
PARAMS = {f"group.key{i}": f"wert {i} ä" for i in range(230)}
POINTS = [("train/loss", 1 / (1 + i), i) for i in range(1100)]


@pytest.fixture(scope="module")
def stores(database: Path) -> tuple[Store, Store]:
    one, other = (Store(TrackingSettings(None, f"copying-{name}"), database) for name in ("from", "to"))
    return one, other


@pytest.fixture(scope="module")
def source(stores: tuple[Store, Store], tmp_path_factory: pytest.TempPathFactory) -> str:
    from mlflow.entities import Metric, Param

    store, files = stores[0], tmp_path_factory.mktemp("files")
    (files / "inner").mkdir()
    (files / "inner" / "clips.csv").write_bytes(b"\x00\xff")
    tags = {"identity": "i", "dataset": "Tänze", "delivered.0": "x", **Owner.here().tags()}
    with store.run("a name", tags) as run:
        for start in range(0, len(PARAMS), 100):
            chunk = list(PARAMS.items())[start : start + 100]
            store.client.log_batch(run.run_id, params=[Param(key, value) for key, value in chunk])
        for start in range(0, len(POINTS), 1000):
            points = [Metric(key, value, 1000 + step, step) for key, value, step in POINTS[start : start + 1000]]
            store.client.log_batch(run.run_id, metrics=points)
        run.log(metrics={"nan": math.nan, "inf": math.inf, "tiny": 5e-324, "third": 1 / 3})
        run.artifacts(files)
    return run.run_id


def test_everything_comes_along_but_who_computed_it(stores: tuple[Store, Store], source: str) -> None:
    here, there = stores
    copy = Copy.of(here, source)
    run_id = Copy.from_json(copy.as_json()).begin(there)
    assert there.client.get_run(run_id).info.status == "RUNNING"
    found = here.get(source)
    assert found is not None
    with artifacts(here, found) as folder:
        copy.fill(there, run_id, folder)
        copy.fill(there, run_id, folder)  # an attempt that was cut off is gone on with
        copy.finish(there, run_id)
    again = Copy.of(there, run_id)
    assert again == copy
    assert set(copy.tags) == {"identity", "dataset", "artifacts"}
    assert copy.params == PARAMS
    assert [(name, float(value), step) for name, value, _, step in copy.metrics if name == "train/loss"] == POINTS
    assert there.artifact(run_id, "inner/clips.csv") == b"\x00\xff"
    copied = there.client.get_run(run_id)
    assert copied.info.start_time == here.client.get_run(source).info.start_time
    assert math.isnan(copied.data.metrics["nan"])
    assert copied.data.metrics["tiny"] == 5e-324


def test_json_that_is_no_run() -> None:
    from pydantic import ValidationError

    with pytest.raises(ValidationError, match="metrics"):
        Copy.from_json({"name": "x", "started": 1, "ended": 2, "tags": {}, "params": {}, "metrics": [["a", "1"]]})
