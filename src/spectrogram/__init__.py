"""Waveform to picture: one file a representation, all under the `Spectrogram` protocol."""

from typing import Any, ClassVar, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64, UInt8


@runtime_checkable
class Spectrogram(Protocol):
    """Draws one mono signal; row 0 is the highest band, time runs left to right.

    Deterministic and safe to call from several threads at once; any length from one sample, any rate, silence included.
    """

    name: ClassVar[str]
    """As tags and tables have it."""

    def key(self) -> dict[str, Any]:
        """What determines the picture of a signal, as literals: a renamed class has the same key.

        A setting that the others leave without effect is not in it.
        """
        ...

    def load(self) -> None:
        """Import the libraries that image_transform needs, which checking the settings does not."""
        ...

    def picture(
        self, samples: Float32[np.ndarray, " samples"], sample_rate: int
    ) -> UInt8[np.ndarray, "rows columns"] | UInt8[np.ndarray, "rows columns 3"]:
        """Grey (or colour) levels, 0 the darkest; `sample_rate` in Hz."""
        ...

    def frequencies(self, sample_rate: int) -> Float64[np.ndarray, " rows"] | None:
        """Centre of each row in Hz, top row first; None where rows are not frequencies."""
        ...

    @property
    def columns_per_second(self) -> float:
        """How many columns one second of sound takes."""
        ...
