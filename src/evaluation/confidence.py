"""How far probabilities can be trusted: temperature scaling, calibration error, thresholds, conformal sets."""

from typing import cast

import numpy as np
from jaxtyping import Float, Float64, Int64

from src.errors import UserError

Probabilities = Float[np.ndarray, "clips classes"]
_SMALLEST = 1e-12
_TEMPERATURES = (0.05, 20.0)


def calibrated(probabilities: Probabilities, temperature: float) -> Float64[np.ndarray, "clips classes"]:
    """Probabilities whose logits are divided by a temperature; above 1 they become less sure. Rows sum to 1."""
    logits = np.log(np.maximum(probabilities.astype(np.float64), _SMALLEST)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    scaled: Float64[np.ndarray, "clips classes"] = powers / powers.sum(axis=1, keepdims=True)
    return scaled


def fit_temperature(probabilities: Probabilities, targets: Int64[np.ndarray, " clips"]) -> float:
    """The temperature under which held-out clips are most likely (Guo et al., 2017); between 0.05 and 20.

    Args:
        targets: position of each clip's class.
    """
    from scipy.optimize import minimize_scalar

    def loss(log_temperature: float) -> float:
        return log_loss(calibrated(probabilities, float(np.exp(log_temperature))), targets)

    return float(np.exp(minimize_scalar(loss, bounds=np.log(_TEMPERATURES), method="bounded").x))


def log_loss(probabilities: Probabilities, targets: Int64[np.ndarray, " clips"]) -> float:
    """Mean negative logarithm of the probability of each clip's class, in nats."""
    chosen = probabilities[np.arange(len(targets)), targets]
    return float(-np.log(np.maximum(chosen, _SMALLEST)).mean())


def reliability(
    probabilities: Probabilities, targets: Int64[np.ndarray, " clips"], bins: int = 10
) -> list[tuple[float, float, int]]:
    """Mean confidence, accuracy and number of clips, of equal ranges of confidence that hold clips."""
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == targets
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    return [
        (float(confidence[place == b].mean()), float(right[place == b].mean()), int((place == b).sum()))
        for b in range(bins)
        if (place == b).any()
    ]


def calibration_error(probabilities: Probabilities, targets: Int64[np.ndarray, " clips"]) -> float:
    """Expected calibration error over ten ranges of confidence, 0..1."""
    return sum(abs(c - a) * n for c, a, n in reliability(probabilities, targets)) / len(targets)


def threshold_for(probabilities: Probabilities, targets: Int64[np.ndarray, " clips"], error: float) -> float:
    """The lowest threshold at which, of the held-out clips that reach it, at most a share `error` is wrong.

    The share is counted with one more wrong clip, since the next one is not among those that were looked at.

    Raises:
        UserError: no threshold does that.
    """
    confidence, wrong = probabilities.max(axis=1), probabilities.argmax(axis=1) != targets
    order = np.argsort(-confidence, kind="stable")
    shares = (np.cumsum(wrong[order]) + 1) / (np.arange(len(order)) + 1)
    # clips of one confidence are accepted together
    last = np.append(np.diff(confidence[order]) != 0, True)
    good = np.flatnonzero((shares <= error) & last)
    if not len(good):
        raise UserError(
            f"error={error:g}: no threshold keeps the error of the {len(targets)} validation clips there; allow a "
            "larger one, or give threshold= yourself"
        )
    return float(confidence[order[good[-1]]])


def conformal_quantile(probabilities: Probabilities, targets: Int64[np.ndarray, " clips"], coverage: float) -> float:
    """By how much the probability of a clip's class may lie below 1, in sets that hold it with the stated coverage.

    Split conformal prediction (Sadinle et al., 2019): the set of all classes of probability 1 - quantile and more holds
    the class of a new clip with at least this probability, if the clip comes from where the held-out ones come from.

    Raises:
        UserError: so few clips cannot state this coverage.
    """
    scores = np.sort(1 - probabilities[np.arange(len(targets)), targets].astype(np.float64))
    rank = int(np.ceil((len(scores) + 1) * coverage))
    if rank > len(scores):
        needed = int(np.ceil(coverage / (1 - coverage)))
        raise UserError(f"coverage={coverage:g}: {len(scores)} validation clips cannot state it; {needed} or more can")
    return float(scores[rank - 1])


def prediction_set(probabilities: Float[np.ndarray, " classes"], quantile: float) -> list[int]:
    """Positions of the classes in a conformal set, the most probable first."""
    order = np.argsort(-probabilities, kind="stable")
    return [int(i) for i in cast(np.ndarray, order) if probabilities[i] >= 1 - quantile]
