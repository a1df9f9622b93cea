"""Peak memory of a whole run, from audio to accuracy, with few clips and with ten times as many.

python -m benchmarks.memory [CLIPS ...]
"""

import sys
import tempfile
from pathlib import Path

from benchmarks.audio import render
from benchmarks.commands import run, settings
from benchmarks.measuring import Row, deliver, seconds

SIZES = (500, 5000)


def main() -> None:
    """A row per size."""
    sizes = [int(word) for word in sys.argv[1:] if word.isdigit()] or SIZES
    rows = []
    for clips in sizes:
        with tempfile.TemporaryDirectory() as name:
            audio = render(Path(name), clips, 4, 16000)
            done = run("-m", "src.train", *settings(audio, Path(name)), watched=True)
        what = f"peak memory, {clips} clips of 4 s at 16 kHz"
        how = f"one run of {seconds(done.seconds)}, all processes together"
        rows.append(Row(what, "", f"{done.memory:.2f} GB", done.memory, "GB", "<=", 2.5, how))
    deliver(rows)


if __name__ == "__main__":
    main()
