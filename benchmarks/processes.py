"""Two processes that share one extraction against one alone; each works with one thread.

    python -m benchmarks.processes [CLIPS]

From the moment that all of them are ready (everything imported, network and engine loaded) to the end of the last one.
They divide the clips by the locks of the cache, as `src.features -m 'share=range(2)'` does.
"""

import multiprocessing
import sys
import tempfile
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path
from queue import Queue
from statistics import median

from benchmarks.audio import render
from benchmarks.measuring import Row, deliver, per_second

CLIPS, SECONDS, RATE, ROUNDS = 400, 5, 44100, 5


def work(warm_up: Path, audio: Path, place: Path, ready: Barrier, told: "Queue[tuple[float, int]]") -> None:
    """One process: get ready, wait for the others, extract; tells when it ended and how many clips it computed."""
    from benchmarks.extraction import prepared

    with tempfile.TemporaryDirectory() as own:
        prepared(warm_up, Path(own), 1)()
    extract = prepared(audio, place, 1)
    ready.wait()
    told.put((time.monotonic(), extract().computed))
    told.put((time.monotonic(), 0))


def elapsed(count: int, warm_up: Path, audio: Path) -> float:
    """Seconds that so many processes take together."""
    context = multiprocessing.get_context("spawn")
    ready, told = context.Barrier(count), context.Queue()
    with tempfile.TemporaryDirectory() as place:
        started = [context.Process(target=work, args=(warm_up, audio, Path(place), ready, told)) for _ in range(count)]
        for process in started:
            process.start()
        messages = [told.get() for _ in range(2 * count)]
        for process in started:
            process.join()
    computed = sum(clips for _, clips in messages)
    if computed != len(list(audio.glob("*/*.wav"))):
        sys.exit(f"{computed} clips were computed, some not at all or twice")
    moments = [moment for moment, _ in messages]
    return max(moments) - min(moments)


def main() -> None:
    """One row: the median ratio of pairs in turns, since the speed of a shared machine drifts from one to the next."""
    clips = next((int(word) for word in sys.argv[1:] if word.isdigit()), CLIPS)
    with tempfile.TemporaryDirectory() as name:
        audio, warm_up = render(Path(name), clips, SECONDS, RATE), render(Path(name), 8, SECONDS, RATE)
        found = [(elapsed(1, warm_up, audio), elapsed(2, warm_up, audio)) for _ in range(ROUNDS)]
    one, two = (min(each) for each in zip(*found, strict=True))
    ratio = median(alone / together for alone, together in found)
    how = f"{clips} clips of {SECONDS} s, one thread each; speeds: best of {ROUNDS}, ratio: median of pairs"
    speeds = (f"{per_second(clips / one)} clips", f"{per_second(clips / two)} clips")
    deliver([Row("extraction by two processes against one", *speeds, ratio, "x", ">=", 1.8, how)])


if __name__ == "__main__":
    main()
