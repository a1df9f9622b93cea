"""CPU time of a picture of the paper's spectrogram beside a constant-Q transform of librosa's with as many bands.

    OMP_NUM_THREADS=1 python -m benchmarks.picture --seconds 30 --rate 44100

Both run in turns in one process on one thread, on the same noise, after everything that either computes but once
(plans, compiled code). The transform's hop is 512 samples; the picture's is a hundredth of a second, by its settings.
"""

import argparse
import logging
import math
import statistics
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import torch
import yaml

from src.spectrogram.asperes import Asperes

SETTINGS = Path(__file__).resolve().parent.parent / "conf/spectrogram/asperes.yaml"


def main() -> None:
    """Time both and log medians, and the ratio of one to the other."""
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    # A clip shorter than the longest filter of the transform makes it warn at every call.
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    options = _options()
    settings = yaml.safe_load(SETTINGS.read_text())
    spectrogram = Asperes(**{key: value for key, value in settings.items() if key != "_target_"})
    rng = np.random.default_rng(0)
    samples = (0.1 * rng.standard_normal(round(options.seconds * options.rate))).astype(np.float32)
    bands = min(options.bands, math.floor(12 * math.log2(options.rate / 2 / 20)))
    picture, constant_q = _in_turns(
        lambda: spectrogram.picture(samples, options.rate),
        lambda: librosa.cqt(
            samples, sr=options.rate, hop_length=512, fmin=20, n_bins=bands, bins_per_octave=12, dtype=np.complex64
        ),
        options.repeats,
    )
    logging.info("%g s at %d Hz, CPU ms, median of %d", options.seconds, options.rate, options.repeats)
    logging.info("picture, 121 bands, 100 columns a second   %7.1f", 1000 * picture)
    logging.info("librosa.cqt, %3d bands, hop 512            %7.1f", bands, 1000 * constant_q)
    logging.info("ratio                                      %7.2f", picture / constant_q)


def _in_turns(one: Callable[[], object], other: Callable[[], object], repeats: int) -> tuple[float, float]:
    """Median CPU seconds of each, taken in turns after two calls that are not counted."""
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(repeats + 2):
        for call, times in zip((one, other), taken, strict=True):
            start = time.process_time()
            call()
            if turn >= 2:
                times.append(time.process_time() - start)
    return statistics.median(taken[0]), statistics.median(taken[1])


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=30, help="length of the clip (default: %(default)s)")
    parser.add_argument("--rate", type=int, default=44100, help="sample rate in Hz (default: %(default)s)")
    parser.add_argument("--bands", type=int, default=118, help="bands of the transform, as far as Nyquist allows")
    parser.add_argument("--repeats", type=int, default=15, help="calls that count (default: %(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    main()
