"""How much Lightning costs: a fit of the linear head against the same steps in a plain loop.

    python -m benchmarks.head

8000 steps of 100 draws from 1000 clips of 2048 features in 10 classes, on one CPU thread, in turns.
"""

import statistics
from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional

from benchmarks.measuring import Row, deliver, in_turns, seconds
from src.head import Examples, Trainer
from src.head.linear import Linear
from src.head.sgd import ClassBalancedSampler, Randomness, truncated_normal

CLASSES, CLIPS, FEATURES = 10, 1000, 2048
ROUNDS = 5
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
    draws = ClassBalancedSampler(train.labels, batch_size=TRAINER.batch_size, rng=random.draws)
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


def main() -> None:
    """Rows: the fit against the loop, and whether the weights are the same bits."""
    torch.set_num_threads(1)
    train = clips()
    weights: dict[str, np.ndarray] = {}
    calls = (
        lambda: weights.update(loop=plain(train)),
        lambda: weights.update(fit=lightning(train)),
        lambda: one_step(train),
    )
    loop, fit, fixed = in_turns(calls, ROUNDS)
    same = np.array_equal(weights["loop"], weights["fit"])
    # processor time, which is what one thread takes on an idle core
    taken, other = statistics.median(fit.cpu), statistics.median(loop.cpu)
    deliver(
        [
            Row(
                f"a seed's fit in Lightning, {TRAINER.max_steps} steps, as a share of a plain torch loop's time",
                seconds(other),
                f"{seconds(taken)}, of which {seconds(statistics.median(fixed.cpu))} whatever the steps",
                taken / other,
                "x",
                "<=",
                1.5,
                f"{FEATURES} features, {CLASSES} classes, one thread, CPU time, median of {ROUNDS}",
            ),
            Row("final weights: share of equal bits", "plain loop", "fit", float(same), "", ">=", 1, "all compared"),
        ]
    )


if __name__ == "__main__":
    main()
