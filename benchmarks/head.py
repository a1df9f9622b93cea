"""How much Lightning costs: a fit of the linear head against the same steps in a plain loop.

Run from the repository root: `python -m benchmarks.head [rounds]`. Prints one JSON object; times are medians over
interleaved rounds of 8000 steps of 100 draws from 1000 clips of 2048 features in 10 classes, on one CPU thread. Where
other programs share the CPU, its own seconds are the fairer of the two clocks.
"""

import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional

from src.head import Examples, Trainer
from src.head.draws import BalancedDraws, Randomness, truncated_normal
from src.head.linear import Linear

CLASSES, CLIPS, FEATURES = 10, 1000, 2048
TRAINER = Trainer(max_steps=8000, batch_size=100, validate_every=400, accelerator="cpu", threads=1, progress_bar=False)


def clips() -> Examples:
    """Ten overlapping clouds of points."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, CLASSES, CLIPS)
    centres = 0.2 * rng.standard_normal((CLASSES, FEATURES))
    return Examples((rng.standard_normal((CLIPS, FEATURES)) + centres[labels]).astype(np.float32), labels)


def plain(train: Examples) -> np.ndarray:
    """The loop one writes without Lightning; returns the final weights."""
    random = Randomness.from_seed(0)
    layer = torch.nn.Linear(FEATURES, CLASSES)
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(truncated_normal((CLASSES, FEATURES), std=0.001, rng=random.weights)))
        layer.bias.zero_()
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.01)
    features, labels = torch.from_numpy(train.features), torch.from_numpy(train.labels)
    draws = BalancedDraws(train.labels, batch_size=TRAINER.batch_size, rng=random.draws)
    for batch in torch.from_numpy(draws.take(TRAINER.max_steps)):
        # four times as fast as features[batch], so that only Lightning is compared
        loss = functional.cross_entropy(layer(features.index_select(0, batch)), labels[batch])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return layer.weight.detach().numpy()


def lightning(train: Examples, trainer: Trainer = TRAINER) -> np.ndarray:
    """The head as the project runs it, without validation clips as the plain loop has none."""
    head = Linear(learning_rate=0.01, weight_std=0.001, standardize=False)
    nothing = Examples(train.features[:0], train.labels[:0])
    return head.fit(train, nothing, classes=CLASSES, seed=0, trainer=trainer, logger=None).weights[0]


def one_step(train: Examples) -> np.ndarray:
    """What a fit costs however short it is."""
    return lightning(train, replace(TRAINER, max_steps=1))


def timed(run: Callable[[Examples], np.ndarray], train: Examples) -> tuple[float, float, np.ndarray]:
    """Seconds by the clock, seconds of CPU, and the result."""
    clock, cpu = time.perf_counter(), time.process_time()
    result = run(train)
    return time.perf_counter() - clock, time.process_time() - cpu, result


def main(rounds: int) -> dict[str, float | bool]:
    """Median seconds, the fit's in loops, and whether the final weights are the same bits."""
    torch.set_num_threads(1)
    train = clips()
    lightning(train)  # imports
    runs = [[timed(run, train) for run in (plain, lightning, one_step)] for _ in range(rounds)]
    loop, fit, fixed = (statistics.median(run[kind][0] for run in runs) for kind in range(3))
    loop_cpu, fit_cpu = (statistics.median(run[kind][1] for run in runs) for kind in range(2))
    return {
        "plain loop s": loop,
        "Lightning fit s": fit,
        "ratio": fit / loop,
        "plain loop CPU s": loop_cpu,
        "Lightning fit CPU s": fit_cpu,
        "CPU ratio": fit_cpu / loop_cpu,
        "one step s": fixed,
        "same weights": all(np.array_equal(run[0][2], run[1][2]) for run in runs),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5)) + "\n")
