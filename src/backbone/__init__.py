"""From one clip to its feature vector, by a network (or a formula) that is never trained here."""

from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32

JSON = None | bool | int | float | str | list["JSON"] | dict[str, "JSON"]


@runtime_checkable
class Backbone(Protocol):
    """What turns a picture or a waveform into features; ready to use, and the same clip always gives the same bits."""

    @property
    def name(self) -> str:
        """As shown in tables."""
        ...

    @property
    def input(self) -> Literal["picture", "waveform"]:
        """What `prepare` takes: the spectrogram's picture, or the waveform itself."""
        ...

    @property
    def feature_names(self) -> list[str]:
        """One for each feature, in order."""
        ...

    @property
    def identity(self) -> dict[str, Any]:
        """Everything that determines the bits of a feature, as JSON, and nothing else (never a path)."""
        ...

    @property
    def weights(self) -> str:
        """Where the weights come from, in a few words for tables; "none" where there are none."""
        ...

    @property
    def batch_size(self) -> int:
        """How many clips `embed` is given at a time, at most."""
        ...

    def prepare(self, source: Any, /) -> np.ndarray:
        """The cheap work for one clip, done by a worker process or thread.

        Args:
            source: uint8 picture of shape (rows, columns) or (rows, columns, 3), or a Waveform.

        Returns:
            What `embed` takes of this clip.
        """
        ...

    def embed(self, inputs: list[np.ndarray]) -> Float32[np.ndarray, "clips features"]:
        """Features of prepared clips, a row each; a row does not depend on the others.

        Several threads may call it at once.
        """
        ...
