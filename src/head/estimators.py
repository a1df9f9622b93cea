"""A fitted random forest as plain arrays, and its predictions in numpy."""

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float32, Float64, Int64

from src.errors import UserError
from src.features.examples import Examples
from src.head import Tensors, Trainer, check_examples
from src.head.network import FittedNetwork, Scaling
from src.head.validation import log_validation

# rows predicted at a time, to bound the "rows trees" copies
ROWS = 4096


@dataclass(frozen=True, eq=False)
class FittedForest:
    """All trees' nodes in one list. A leaf's children are itself, so that a walk may go on past it.

    Attributes:
        roots: first node of each tree.
        left, right: next node where the feature is at most the threshold, and where it is above.
        feature, threshold: what a node asks.
        values: class shares among the training draws that reached a node.
    """

    kind: str
    roots: Int64[np.ndarray, " trees"]
    left: Int64[np.ndarray, " nodes"]
    right: Int64[np.ndarray, " nodes"]
    feature: Int64[np.ndarray, " nodes"]
    threshold: Float64[np.ndarray, " nodes"]
    values: Float64[np.ndarray, "nodes classes"]
    warnings: tuple[str, ...] = ()

    def predict_proba(self, features: Float32[np.ndarray, "clips features"]) -> Float32[np.ndarray, "clips classes"]:
        """Mean over the trees of the class shares in the leaf that a clip falls into."""
        chunks = [self._rows(features[start : start + ROWS]) for start in range(0, len(features), ROWS)]
        return np.concatenate([np.zeros((0, self.values.shape[1]), np.float32), *chunks])

    def _rows(self, features: Float32[np.ndarray, "clips features"]) -> Float32[np.ndarray, "clips classes"]:
        leaves = self._leaves(features)
        total = np.zeros((len(features), self.values.shape[1]))
        for tree in range(len(self.roots)):  # one after the other: float sums depend on the order
            total += self.values[leaves[:, tree]]
        mean: Float32[np.ndarray, "clips classes"] = (total / len(self.roots)).astype(np.float32)
        return mean

    def _leaves(self, features: Float32[np.ndarray, "clips features"]) -> Int64[np.ndarray, "clips trees"]:
        """Walks all trees with all clips at once, a level per turn."""
        rows = np.arange(len(features))[:, None]
        nodes = np.tile(self.roots, (len(features), 1))
        while True:
            below = features[rows, self.feature[nodes]] <= self.threshold[nodes]
            following = np.where(below, self.left[nodes], self.right[nodes])
            if np.array_equal(following, nodes):
                return nodes
            nodes = following

    def tensors(self) -> dict[str, np.ndarray]:
        """The arrays by name."""
        names = ("roots", "left", "right", "feature", "threshold", "values")
        return {name: np.ascontiguousarray(getattr(self, name)) for name in names}

    @classmethod
    def from_tensors(cls, kind: str, tensors: Tensors) -> "FittedForest":
        """The inverse of `tensors`."""
        return cls(
            kind=kind,
            roots=tensors["roots"],
            left=tensors["left"],
            right=tensors["right"],
            feature=tensors["feature"],
            threshold=tensors["threshold"],
            values=tensors["values"],
        )


log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Logistic:
    """Softmax regression at the optimum of its penalised loss (conf/head/logistic.yaml).

    The same for every seed, and without balanced classes: each training clip counts once.

    Attributes:
        C: inverse weight of the squared penalty; the larger, the closer to no penalty.
        max_iter: iterations of L-BFGS at most; running into it is a warning of the fitted head.
        standardize: scale features by the training clips' mean and deviation; None: the backbone decides, and
            `resolve_standardize` puts its choice here before `fit`.
    """

    C: float
    max_iter: int
    standardize: bool | None

    name: ClassVar[str] = "logistic"
    reads: ClassVar[frozenset[str]] = frozenset({"threads"})
    tunable: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if not self.C > 0:
            raise UserError(f"head.C={self.C}: expected a number above 0, like 1.0.")
        if self.max_iter < 1:
            raise UserError(f"head.max_iter={self.max_iter}: expected a whole number of at least 1.")

    def key(self) -> dict[str, Any]:
        """See `Head.key`."""
        return {"head": "logistic", "C": self.C, "max_iter": self.max_iter, "standardize": self.standardize}

    def fit(
        self, train: Examples, validation: Examples, *, classes: int, seed: int, trainer: Trainer, logger: object | None
    ) -> FittedNetwork:
        """See `Head.fit`; the validation point is logged at the number of iterations."""
        check_examples(train, validation, classes)
        if self.standardize is None:
            raise ValueError("standardize is None: call resolve_standardize with the backbone's choice first")
        if len(np.unique(train.labels)) < 2:
            raise UserError("head=logistic needs training clips of at least two classes; one class has all of them.")
        scaling = Scaling.of(train.features, standardize=self.standardize)
        model = import_module("sklearn.linear_model").LogisticRegression(C=self.C, max_iter=self.max_iter)
        # float64, in which L-BFGS's line search does not stall
        scaled = scaling.apply(train.features).astype(np.float64)
        with import_module("threadpoolctl").threadpool_limits(trainer.threads):
            noted = _noting_convergence(lambda: model.fit(scaled, train.labels))
        weight, bias = _all_outputs(model.coef_, model.intercept_, model.classes_, classes)
        fitted = FittedNetwork("logistic", scaling, (weight,), (bias,), warnings=noted)
        log_validation(logger, fitted, validation, step=int(np.max(model.n_iter_)))
        return fitted


def _noting_convergence(fit: Callable[[], object]) -> tuple[str, ...]:
    """Runs the fit; returns its convergence warnings, logged, and passes other warnings on."""
    convergence = import_module("sklearn.exceptions").ConvergenceWarning
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", convergence)
        fit()
    noted = []
    for warning in caught:
        if issubclass(warning.category, convergence):
            text = f"head=logistic has not converged: {str(warning.message).splitlines()[0]}"
            log.warning("%s Raise head.max_iter, or set head.standardize=true.", text)
            noted.append(text)
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    return tuple(noted)


def _all_outputs(
    weight: Float64[np.ndarray, "rows features"],
    bias: Float64[np.ndarray, " rows"],
    present: Int64[np.ndarray, " present"],
    classes: int,
) -> tuple[Float32[np.ndarray, "classes features"], Float32[np.ndarray, " classes"]]:
    """A row per class. Two classes share one row in scikit-learn: the second's, the first's being 0."""
    if len(present) == 2:
        weight, bias = np.vstack([np.zeros_like(weight), weight]), np.append([0.0], bias)
    all_weights = np.zeros((classes, weight.shape[1]), np.float32)
    # a class without training clips gets probability 0
    all_biases = np.full(classes, -np.inf, np.float32)
    all_weights[present], all_biases[present] = weight, bias
    return all_weights, all_biases


@dataclass(frozen=True)
class RandomForest:
    """Trees on bootstrap draws, the paper's classifier for Marsyas features (conf/head/random_forest.yaml).

    Trees only compare values of one feature, so scaling would change nothing.

    Attributes:
        n_estimators: number of trees.
        max_features: features tried at a split: `log2` or `sqrt` of their number, rounded down.
        n_jobs: trees grown at a time; changes no result.
    """

    n_estimators: int
    max_features: str
    n_jobs: int

    name: ClassVar[str] = "random_forest"
    reads: ClassVar[frozenset[str]] = frozenset({"seed"})
    tunable: ClassVar[bool] = False
    RUNTIME: ClassVar[frozenset[str]] = frozenset({"n_jobs"})

    def __post_init__(self) -> None:
        for key in ("n_estimators", "n_jobs"):
            if getattr(self, key) < 1:
                raise UserError(f"head.{key}={getattr(self, key)}: expected a whole number of at least 1.")
        if self.max_features not in ("log2", "sqrt"):
            raise UserError(f"head.max_features={self.max_features}: expected log2 or sqrt.")

    def key(self) -> dict[str, Any]:
        """See `Head.key`."""
        return {"head": "random_forest", "n_estimators": self.n_estimators, "max_features": self.max_features}

    def fit(
        self, train: Examples, validation: Examples, *, classes: int, seed: int, trainer: Trainer, logger: object | None
    ) -> FittedForest:
        """See `Head.fit`; the validation point is logged at the number of trees."""
        check_examples(train, validation, classes)
        model = self.estimator(seed).fit(train.features, train.labels)
        fitted = _as_arrays(model, classes)
        log_validation(logger, fitted, validation, step=self.n_estimators)
        return fitted

    def estimator(self, seed: int) -> Any:
        """The unfitted scikit-learn forest of a seed."""
        # scikit-learn takes 32 bits; a seed sequence folds any whole number into them
        state = int(np.random.SeedSequence(seed).generate_state(1)[0])
        return import_module("sklearn.ensemble").RandomForestClassifier(
            n_estimators=self.n_estimators, max_features=self.max_features, random_state=state, n_jobs=self.n_jobs
        )


def _as_arrays(model: Any, classes: int) -> FittedForest:
    trees = [estimator.tree_ for estimator in model.estimators_]
    roots = np.cumsum([0] + [tree.node_count for tree in trees[:-1]])
    left = np.concatenate([tree.children_left + root for tree, root in zip(trees, roots, strict=True)])
    right = np.concatenate([tree.children_right + root for tree, root in zip(trees, roots, strict=True)])
    leaf = np.concatenate([tree.children_left < 0 for tree in trees])
    own = np.arange(len(leaf))
    values = np.zeros((len(leaf), classes))
    values[:, model.classes_] = np.concatenate([tree.value[:, 0, :] for tree in trees])
    return FittedForest(
        kind="random_forest",
        roots=roots.astype(np.int64),
        left=np.where(leaf, own, left).astype(np.int64),
        right=np.where(leaf, own, right).astype(np.int64),
        feature=np.where(leaf, 0, np.concatenate([tree.feature for tree in trees])).astype(np.int64),
        threshold=np.concatenate([tree.threshold for tree in trees]),
        values=values,
    )
