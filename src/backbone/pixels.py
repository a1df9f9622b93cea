"""The control: the picture itself, made small, as features. What a network adds is what it has beyond these."""

from dataclasses import dataclass
from importlib import import_module
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float32, UInt8

from src.backbone import JSON
from src.errors import UserError


@dataclass(frozen=True)
class Pixels:
    """A grey picture squashed to rows x columns (averaging over all pixels), values from 0 to 1.

    Attributes:
        rows: of the small picture.
        columns: of the small picture.
    """

    rows: int
    columns: int

    name: ClassVar[str] = "pixels"
    input: ClassVar[Literal["picture"]] = "picture"
    weights: ClassVar[str] = "none"
    batch_size: ClassVar[int] = 8

    def __post_init__(self) -> None:
        for key in ("rows", "columns"):
            if not 1 <= getattr(self, key) <= 1024:
                raise UserError(f"backbone.{key}: got {getattr(self, key)}; expected from 1 to 1024 pixels, e.g. 32")

    def load(self, *_: object, **__: object) -> "Pixels":
        """Ready as it is; takes what `Vision.load` takes."""
        import_module("src.backbone.resize")  # torch is imported now, and not within the first clip's time
        return self

    @property
    def feature_names(self) -> list[str]:
        """Row by row from the highest band, e.g. `pixel_r00_c00`."""
        return [f"pixel_r{row:02d}_c{column:02d}" for row in range(self.rows) for column in range(self.columns)]

    @property
    def identity(self) -> dict[str, JSON]:
        """The size is all there is."""
        return {"model": "pixels", "rows": self.rows, "columns": self.columns}

    def prepare(self, picture: UInt8[np.ndarray, "rows columns *colours"], /) -> Float32[np.ndarray, " pixels"]:
        """Squash a picture, (rows, columns) or (rows, columns, 3); colours are averaged."""
        from src.backbone.resize import resize  # torch, which settings are checked without

        small = resize(picture, self.rows, self.columns, antialias=True).mean(axis=0, dtype=np.float32)
        features: np.ndarray = small.ravel() / np.float32(255)
        return features

    def embed(self, inputs: list[np.ndarray]) -> Float32[np.ndarray, "clips features"]:
        """One row per picture."""
        return np.stack(inputs) if inputs else np.empty((0, self.rows * self.columns), "f4")
