"""One-vs-one classification: a binary head for each pair of classes, and a vote.

The paper proposes "something similar to Sequential Minimal Optimization, where each binary classifier is our black box"
(section 7). The binary classifiers here are the linear head; no support vector machine is trained.
"""

from dataclasses import dataclass
from itertools import combinations
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Bool, Float, Float32, Int64

from src.features.examples import Examples
from src.head import STEPPED, Tensors, Trainer, check_examples
from src.head.linear import Linear
from src.head.network import FittedNetwork
from src.head.validation import log_validation, metric_logger


@dataclass(frozen=True)
class OneVsOne:
    """One-vs-one classification: a linear head for each pair of classes, combined by their votes (Knerr et al. 1990).

    Attributes:
        learning_rate, weight_std, standardize: of every binary head; see `Linear`.
    """

    learning_rate: float
    weight_std: float
    standardize: bool | None

    name: ClassVar[str] = "one_vs_one"
    reads: ClassVar[frozenset[str]] = STEPPED
    tunable: ClassVar[bool] = False

    def __post_init__(self) -> None:
        self._binary()

    def key(self) -> dict[str, Any]:
        """See `Head.key`."""
        return {
            "head": "one_vs_one",
            "learning_rate": self.learning_rate,
            "weight_std": self.weight_std,
            "standardize": self.standardize,
        }

    def _binary(self) -> Linear:
        return Linear(self.learning_rate, self.weight_std, self.standardize)

    def fit(
        self, train: Examples, validation: Examples, *, classes: int, seed: int, trainer: Trainer, logger: object | None
    ) -> "FittedOneVsOne":
        """See `Head.fit`; every pair trains for `max_steps`, and the vote's validation point is logged there."""
        check_examples(train, validation, classes)
        metric_logger(logger)
        present = np.unique(train.labels)
        pairs = np.array(list(combinations(present, 2)), np.int64).reshape(-1, 2)
        heads = tuple(
            self._binary().fit(
                _between(train, pair),
                _between(validation, pair),
                classes=2,
                # a pair's own seed, so that it fits the same whichever other classes there are
                seed=int(np.random.SeedSequence((seed, *pair.tolist())).generate_state(1, np.uint64)[0]),
                trainer=trainer,
                logger=None,
            )
            for pair in pairs
        )
        fitted = FittedOneVsOne("one_vs_one", _mask(present, classes), pairs, heads)
        log_validation(logger, fitted, validation, step=trainer.max_steps)
        return fitted


def _between(examples: Examples, pair: Int64[np.ndarray, "2"]) -> Examples:
    """The clips of two classes, labelled 0 and 1."""
    kept = np.isin(examples.labels, pair)
    return Examples(examples.features[kept], (examples.labels[kept] == pair[1]).astype(np.int64))


def _mask(present: Int64[np.ndarray, " present"], classes: int) -> Bool[np.ndarray, " classes"]:
    mask = np.zeros(classes, np.bool_)
    mask[present] = True
    return mask


@dataclass(frozen=True, eq=False)
class FittedOneVsOne:
    """Binary heads and their vote.

    Attributes:
        present: classes that had training clips.
        pairs: the two classes of each head, the smaller first; it is the head's class 0.
        heads: one per pair.
    """

    kind: str
    present: Bool[np.ndarray, " classes"]
    pairs: Int64[np.ndarray, "pairs 2"]
    heads: tuple[FittedNetwork, ...]
    warnings: tuple[str, ...] = ()

    def predict_proba(self, features: Float32[np.ndarray, "clips features"]) -> Float32[np.ndarray, "clips classes"]:
        """Each class's share of the votes.

        Classes with equally many votes are ordered by the mean probability that their own heads gave them: half of
        it is added to the votes, so it never outweighs one. A head at exactly 0.5 votes for the smaller class.
        """
        present: int = int(self.present.sum())
        if present == 1:
            return np.tile(self.present.astype(np.float32), (len(features), 1))
        votes: Float[np.ndarray, "clips classes"] = np.zeros((len(features), len(self.present)))
        confidence = np.zeros_like(votes)
        for (first, second), head in zip(self.pairs, self.heads, strict=True):
            binary = head.predict_proba(features)
            for label, probability in ((first, binary[:, 0]), (second, binary[:, 1])):
                confidence[:, label] += probability / (present - 1)
            votes[np.arange(len(features)), np.where(binary[:, 1] > binary[:, 0], second, first)] += 1
        score = votes + confidence / 2
        share: Float32[np.ndarray, "clips classes"] = (score / score.sum(axis=1, keepdims=True)).astype(np.float32)
        return share

    def tensors(self) -> dict[str, np.ndarray]:
        """present, pairs, and each head's arrays behind its number, like `0/weight.0`."""
        stored: dict[str, np.ndarray] = {"present": self.present, "pairs": self.pairs}
        for number, head in enumerate(self.heads):
            stored |= {f"{number}/{name}": array for name, array in head.tensors().items()}
        return stored

    @classmethod
    def from_tensors(cls, kind: str, tensors: Tensors) -> "FittedOneVsOne":
        """The inverse of `tensors`."""
        heads = []
        for number in range(len(tensors["pairs"])):
            own = {name.partition("/")[2]: array for name, array in tensors.items() if name.startswith(f"{number}/")}
            heads.append(FittedNetwork.from_tensors("linear", own))
        return cls(kind, tensors["present"], tensors["pairs"], tuple(heads))
