"""The validation point of heads that are not trained by steps."""

import numpy as np

from src.features.examples import Examples
from src.head import FittedHead, MetricLogger

# probabilities below float32's resolution count as that in the loss: a forest's may be exactly 0
SMALLEST = float(np.finfo(np.float32).eps)


def metric_logger(logger: object | None) -> MetricLogger | None:
    """The logger, once known to be one.

    Raises:
        TypeError: it cannot log metrics.
    """
    if logger is None or isinstance(logger, MetricLogger):
        return logger
    raise TypeError(f"a head's logger needs log_metrics(metrics, step); {type(logger).__name__} has none")


def log_validation(logger: object | None, fitted: FittedHead, validation: Examples, *, step: int) -> None:
    """Logs validation/accuracy and validation/loss (nats), unless there is no logger or no validation clip."""
    lender = metric_logger(logger)
    if lender is None or len(validation.labels) == 0:
        return
    probabilities = fitted.predict_proba(validation.features)
    right = probabilities[np.arange(len(validation.labels)), validation.labels].astype(np.float64)
    metrics = {
        "validation/accuracy": float(np.mean(probabilities.argmax(axis=1) == validation.labels)),
        "validation/loss": float(-np.log(np.maximum(right, SMALLEST)).mean()),
    }
    lender.log_metrics(metrics, step)
