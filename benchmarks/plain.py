"""The alternative: the script that a researcher writes in an afternoon, from a folder of audio to accuracies.

    python -m benchmarks.plain FOLDER --model tf_efficientnet_lite0 --steps 8000 --seeds 5

librosa's constant-Q transform at a hop of 512 samples (its fast path), decibels as grey values, timm in torch as it
comes (batches of 32, all cores), one linear layer trained by Lightning on a TensorDataset, per seed. It knows nothing
of this project, and neither caches nor tracks anything. No progress bar, which would cost it half as much again. Prints
one JSON object: seconds of each part, and the accuracies.
"""

import argparse
import json
import logging
import sys
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

start = time.perf_counter()

# ruff: noqa: E402 - imports after the start of the clock: what a script waits for first is counted
import librosa
import numpy as np
import pytorch_lightning as pl
import timm
import torch
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, TensorDataset

seconds = {"imports": time.perf_counter() - start}

BATCH = 32


@contextmanager
def timed(part: str) -> Iterator[None]:
    """Adds the seconds of the block to a part."""
    begun = time.perf_counter()
    yield
    seconds[part] = seconds.get(part, 0.0) + time.perf_counter() - begun


def picture(samples: np.ndarray, rate: int, size: int) -> torch.Tensor:
    """A clip as (3, size, size), 0 to 1: 118 semitones from 20 Hz, 80 dB below the loudest is black."""
    transform = librosa.cqt(samples, sr=rate, hop_length=512, fmin=20, n_bins=118, bins_per_octave=12)
    levels = librosa.amplitude_to_db(np.abs(transform), ref=np.max) / 80 + 1
    image = torch.from_numpy(levels[::-1].astype(np.float32))[None, None]
    return functional.interpolate(image, (size, size), mode="bilinear", antialias=True)[0].expand(3, -1, -1)


def extract(paths: list[Path], model: str, weights: str | None) -> torch.Tensor:
    """Features of every file."""
    with timed("network"):
        network = timm.create_model(model, num_classes=0, checkpoint_path=weights or "").eval()
        card = timm.data.resolve_data_config({}, model=network)
        mean, deviation = (torch.tensor(card[key])[:, None, None] for key in ("mean", "std"))
    found, batch = [], []
    for number, path in enumerate(paths, 1):
        with timed("decoding"):
            samples, rate = librosa.load(path, sr=None)
        with timed("pictures"):
            batch.append((picture(samples, int(rate), card["input_size"][-1]) - mean) / deviation)
        if len(batch) == BATCH or number == len(paths):
            with timed("network"), torch.inference_mode():
                found.append(network(torch.stack(batch)))
            batch = []
    return torch.cat(found).clone()


class Head(pl.LightningModule):
    """One linear layer."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.layer = nn.Linear(features, classes)

    def training_step(self, batch: list[torch.Tensor], _: int) -> torch.Tensor:
        """Cross-entropy."""
        features, labels = batch
        return functional.cross_entropy(self.layer(features), labels)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Plain SGD."""
        return torch.optim.SGD(self.parameters(), lr=0.01)


def accuracy(features: torch.Tensor, labels: torch.Tensor, seed: int, steps: int) -> float:
    """Train on four fifths of the clips, test on the rest."""
    pl.seed_everything(seed)
    order = torch.randperm(len(labels), generator=torch.Generator().manual_seed(0))
    test, train = order[: len(labels) // 5], order[len(labels) // 5 :]
    loader = DataLoader(TensorDataset(features[train], labels[train]), batch_size=min(100, len(train)), shuffle=True)
    head = Head(features.shape[1], int(labels.max()) + 1)
    trainer = pl.Trainer(
        max_steps=steps,
        max_epochs=-1,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(head, loader)
    with torch.inference_mode():
        return float((head.layer(features[test]).argmax(1) == labels[test]).double().mean())


def main() -> None:
    """All parts, one after the other."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="FOLDER/<class>/<audio files>")
    parser.add_argument("--model", default="tf_efficientnet_lite0", help="timm's name of the network")
    parser.add_argument("--weights", help="its weights as .safetensors (default: random)")
    parser.add_argument("--steps", type=int, default=8000)
    parser.add_argument("--seeds", type=int, default=5)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    for name in ("pytorch_lightning", "lightning_fabric", "lightning.pytorch.utilities.rank_zero"):
        logging.getLogger(name).setLevel(logging.ERROR)
    classes = sorted(folder.name for folder in asked.folder.iterdir() if folder.is_dir())
    paths = sorted(asked.folder.glob("*/*.wav"))
    labels = torch.tensor([classes.index(path.parent.name) for path in paths])
    features = extract(paths, asked.model, asked.weights)
    with timed("fits"):
        accuracies = [accuracy(features, labels, seed, asked.steps) for seed in range(asked.seeds)]
    seconds["all"] = time.perf_counter() - start
    sys.stdout.write(json.dumps({"seconds": seconds, "accuracies": accuracies}) + "\n")


if __name__ == "__main__":
    main()
