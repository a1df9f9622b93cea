"""What shows an engine that computes in few bits which values a network meets."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import UInt8

Picture = UInt8[np.ndarray, "rows columns"] | UInt8[np.ndarray, "rows columns 3"]
Inputs = Callable[[], Sequence[np.ndarray]]
"""Makes the same pictures as a network takes them."""


@dataclass(frozen=True)
class Calibration:
    """Pictures to measure a network's values on, the same whenever they are asked for; those of equal ones are equal.

    Attributes:
        name: what they are of, as a backbone's identity has it.
        drawn: how they are drawn, as text; a recipe's key holds the same, so an identity leaves it out.
        pictures: draws them all.
    """

    name: str
    drawn: str
    pictures: Callable[[], Iterable[Picture]] = field(compare=False, repr=False)
