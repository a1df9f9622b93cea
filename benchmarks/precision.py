"""Accuracy of each precision on a folder of <class>/<audio files>, and how far its features lie from float32's.

    OMP_NUM_THREADS=1 python -m benchmarks.precision FOLDER --group-pattern '[^/]*/([a-z-]+_[^_]+)'

The head is logistic regression as configured, on standardised features. Clips whose path below the folder has the same
group, by the pattern's first parenthesis, are tested in the same fold. The folds are dealt anew for each seed.
"""

import argparse
import logging
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from benchmarks.measuring import ROOT, cores, markdown
from benchmarks.networks import settings
from benchmarks.picture import spectrogram
from src.data.audio import Window, decode
from src.data.clip import Clip
from src.data.folder import class_folders, scan
from src.data.split import assign_folds
from src.evaluation.comparison import Cell, compare
from src.evaluation.intervals import accuracy_interval
from src.evaluation.text_table import signed, span
from src.features.pipeline import ImageTransform
from src.features.preprocess import Preprocess
from src.head import Examples, Trainer
from src.head.estimators import Logistic

PRECISIONS = ("float32", "bfloat16")
CONDITIONS = {"unprocessed": [], "normalized": [0.0]}
SEEDS, FOLDS = 5, 5
HEADINGS = (
    "condition", "precision", "ready after", "cosine: least", "tenth", "median", "accuracy", "95 % interval",
    "minus float32's", "95 % interval", "with float32's head",
)  # fmt: skip


def _configured(kind: Any, name: str) -> Any:
    values = yaml.safe_load((ROOT / "conf" / f"{name}.yaml").read_text())
    return kind(**{key: value for key, value in values.items() if key != "_target_"})


def listed(root: Path, pattern: str | None) -> list[Clip]:
    """The folder's clips."""
    found = class_folders(root, None)
    return [clip for label, folder in found.items() for clip in scan(folder, label, pattern)[0]]


def embedded(
    clips: list[Clip], image_transform: ImageTransform, model: str, weights: str | None
) -> Iterator[tuple[np.ndarray, float]]:
    """Features in each precision, and seconds until the first one is there."""
    inputs: list[np.ndarray] = []
    for precision in PRECISIONS:
        start = time.perf_counter()
        vision = replace(settings(model, weights), precision=precision)
        network = vision.load(None, cores())
        network.embed([np.zeros_like(network.prepare(np.zeros((8, 8), np.uint8)))])
        ready = time.perf_counter() - start
        with ThreadPoolExecutor(cores()) as pool:
            if not inputs:
                waveforms = (decode(clip.path, image_transform.window)[0] for clip in clips)
                inputs = [network.prepare(picture) for picture in pool.map(image_transform.picture, waveforms)]
            yield np.concatenate(list(pool.map(network.embed, ([each] for each in inputs)))), ready


def right(features: list[np.ndarray], labels: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Which clips a head fitted to the first features gets right by each of them; bool, (features, clips)."""
    configured, trainer = (_configured(*each) for each in ((Logistic, "head/logistic"), (Trainer, "trainer/default")))
    head = replace(configured, standardize=True)
    correct = np.zeros((len(features), len(labels)), bool)
    none = Examples(features[0][:0], labels[:0])
    for fold in range(FOLDS):
        learned, tested = folds != fold, folds == fold
        examples = Examples(features[0][learned], labels[learned])
        fitted = head.fit(examples, none, classes=int(labels.max()) + 1, seed=0, trainer=trainer, logger=None)
        for row, each in zip(correct, features, strict=True):
            row[tested] = fitted.predict_proba(each[tested]).argmax(1) == labels[tested]
    return correct


def cosines(found: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """Of each clip's features with its float32 features."""
    a, b = found.astype(np.float64), exact.astype(np.float64)
    return (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)


def rows(clips: list[Clip], condition: str, model: str, weights: str | None) -> Iterator[tuple[str, ...]]:
    """A line for each precision."""
    image_transform = ImageTransform(
        Window(0.0, None, None), "mean", Preprocess(condition, CONDITIONS[condition]), spectrogram()
    )
    made = list(embedded(clips, image_transform, model, weights))
    features = [each for each, _ in made]
    names, units = [clip.id for clip in clips], [clip.group or clip.id for clip in clips]
    labels = np.unique([clip.label for clip in clips], return_inverse=True)[1]
    dealt = [assign_folds([c.label for c in clips], units, folds=FOLDS, seed=seed) for seed in range(SEEDS)]
    exact = np.stack([right(features, labels, folds) for folds in dealt])
    first = Cell("float32", names, exact[:, 0], units)
    for number, (precision, (found, ready)) in enumerate(zip(PRECISIONS, made, strict=True)):
        own = np.stack([right([found], labels, folds)[0] for folds in dealt]) if number else exact[:, 0]
        near = cosines(found, features[0])
        spread = accuracy_interval(own, units)
        told = (
            condition, precision, f"{ready:.1f} s",
            *(f"{np.quantile(near, share):.3f}" for share in (0, 0.1, 0.5)),
            _percent(own.mean()), f"{span(spread)}",
        )  # fmt: skip
        if number == 0:
            yield (*told, "", "", "")
            continue
        paired = compare(first, Cell(precision, names, own, units))
        yield (*told, signed(paired.difference), span(paired.interval, signed), _percent(exact[:, number].mean()))


def _percent(value: float) -> str:
    return f"{100 * value:.1f} %"


def main() -> None:
    """Measure, and write a table."""
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--group-pattern", default=None, help="as dataset.group_pattern; none: each file by itself")
    parser.add_argument("--model", default="tf_efficientnet_lite0", help="timm's name of the network")
    parser.add_argument("--weights", default=None, help="as backbone.weights")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    clips = listed(asked.folder, asked.group_pattern)
    table = [row for condition in CONDITIONS for row in rows(clips, condition, asked.model, asked.weights)]
    groups = len({clip.group or clip.id for clip in clips})
    sys.stdout.write(f"{len(clips)} clips in {groups} groups, {SEEDS} times {FOLDS} folds, {asked.model}\n\n")
    sys.stdout.write(markdown([HEADINGS, *table]))


if __name__ == "__main__":
    main()
