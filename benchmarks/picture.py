"""CPU time of a picture of the paper's spectrogram beside a constant-Q transform of librosa's with as many bands.

    OMP_NUM_THREADS=1 python -m benchmarks.picture --seconds 30 --rate 44100

Both run in turns in one process on one thread, on the same noise, after everything that either computes but once
(plans, compiled code). The transform's hop is 512 samples, its fast path; the picture's is a hundredth of a second, by
its settings, and exact.
"""

import argparse
import math
import statistics
import warnings
from pathlib import Path

import librosa
import numpy as np
import torch
import yaml

from benchmarks.measuring import Row, deliver, in_turns, seconds
from src.spectrogram.asperes import Asperes

SETTINGS = Path(__file__).resolve().parent.parent / "conf/spectrogram/asperes.yaml"


def spectrogram() -> Asperes:
    """The paper's, as configured."""
    settings = yaml.safe_load(SETTINGS.read_text())
    return Asperes(**{key: value for key, value in settings.items() if key != "_target_"})


def main() -> None:
    """One row: median CPU seconds of both."""
    # A clip shorter than the longest filter of the transform makes it warn at every call.
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    asked = _options()
    drawn = spectrogram()
    rng = np.random.default_rng(0)
    samples = (0.1 * rng.standard_normal(round(asked.seconds * asked.rate))).astype(np.float32)
    bands = min(asked.bands, math.floor(12 * math.log2(asked.rate / 2 / 20)))
    calls = (
        lambda: drawn.picture(samples, asked.rate),
        lambda: librosa.cqt(
            samples, sr=asked.rate, hop_length=512, fmin=20, n_bins=bands, bins_per_octave=12, dtype=np.complex64
        ),
    )
    picture, transform = (statistics.median(times.cpu) for times in in_turns(calls, asked.repeats, warm_up=2))
    row = Row(
        f"exact picture of {asked.seconds:g} s at {asked.rate / 1000:g} kHz, CPU time as a share of librosa.cqt's",
        f"{seconds(transform)} ({bands} bands, hop 512)",
        f"{seconds(picture)} (121 bands, hop {asked.rate / 100:g})",
        picture / transform,
        "x",
        "<=",
        1,
        f"one thread, median of {asked.repeats}",
    )
    deliver([row])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30, help="length of the clip (default: %(default)s)")
    parser.add_argument("--rate", type=int, default=44100, help="sample rate in Hz (default: %(default)s)")
    parser.add_argument("--bands", type=int, default=118, help="bands of the transform, as far as Nyquist allows")
    parser.add_argument("--repeats", type=int, default=15, help="calls that count (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="for benchmarks.bench")
    return parser.parse_args()


if __name__ == "__main__":
    main()
