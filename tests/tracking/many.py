"""Logs runs to a store: `python -m many FOLDER FIRST COUNT [URI]`, an identity each from the first on."""

import sys
from pathlib import Path

from src.tracking.ledger import Ledger, open_store
from src.tracking.store import TrackingSettings

folder, first, count, *uri = sys.argv[1:]
store = open_store(TrackingSettings(uri[0] if uri else None, "many"), Path(folder))
for number in range(int(first), int(first) + int(count)):
    with Ledger(store).job(f"{number:032x}", force=False) as job:
        if job.known is None:
            with job.run(f"run {number}", {"dataset": "d"}) as run:
                run.log(params={f"group.key{i}": str(i) for i in range(50)})
                for step in range(5):
                    run.client.log_metric(run.run_id, "train/loss", 1.0 / (1 + step), step=step)
                run.log(metrics={"test/accuracy": number / 1000, "clips/test": 4})
