"""What a run costs beyond its fit once features are cached: compose, data, test, log; and how soon help is there.

    python -m benchmarks.overhead

Jobs of one sweep after the first, from the end of the job before to the job's own end, less the seconds of its fit.
"""

import statistics
import tempfile
from itertools import pairwise
from pathlib import Path

from benchmarks.audio import render
from benchmarks.commands import jobs, run, settings
from benchmarks.measuring import Row, deliver, seconds

CLIPS, JOBS, HELPS = 400, 12, 5


def main() -> None:
    """Both rows."""
    with tempfile.TemporaryDirectory() as name:
        place = Path(name)
        audio = render(place, CLIPS, 1, 16000)
        options = settings(audio, place)
        run("-m", "src.features", *options)
        run("-m", "src.train", "-m", *options, f"seed={','.join(map(str, range(1 + JOBS)))}")
        beyond = [job.ended - before.ended - job.parts["fit"] for before, job in pairwise(jobs(place))]
        fit = statistics.median(job.parts["fit"] for job in jobs(place)[1:])
    helps = [run("-m", "src.train", "--help").seconds for _ in range(1 + HELPS)][1:]
    deliver(
        [
            Row(
                "a run beyond its fit, features cached, in a sweep after the first job",
                f"fit {seconds(fit)}",
                f"{seconds(min(beyond))} to {seconds(max(beyond))}",
                statistics.median(beyond),
                "s",
                "<=",
                0.5,
                f"median of {JOBS} jobs, {CLIPS} clips",
            ),
            Row(
                "python -m src.train --help",
                "",
                seconds(min(helps)),
                min(helps),
                "s",
                "<=",
                1.5,
                f"best of {HELPS}",
            ),
        ]
    )


if __name__ == "__main__":
    main()
