"""How an explanation is made, and how hard it is tried."""

from dataclasses import dataclass

from src.errors import UserError

FILLS = ("background", "lowest")
BASES = ("occlusion", "gradcam")


@dataclass(frozen=True)
class Settings:
    """How an explanation is made.

    Attributes:
        bands: into which the picture's rows are divided. times: into which the clip's time is divided.
        fill: what a hidden part of the picture shows; see `occlusion.fill`.
        base: what chooses the deciding regions, `occlusion` or `gradcam` (where there is none, occlusion).
        share: of all effect in favour of the class that the deciding regions carry together, if `area` allows it.
        area: of the picture that they cover at most.
        draws: regions of the same shape elsewhere that are removed for comparison. seed: of these.
        window: seconds of the window in which the sound is taken apart.
        layer: module of the network whose maps Grad-CAM weighs; None: the last map before pooling.
    """

    bands: int
    times: int
    fill: str
    base: str
    share: float
    area: float
    draws: int
    seed: int
    window: float
    layer: str | None

    def __post_init__(self) -> None:
        _require(1 <= self.bands <= 200, "bands", self.bands, "1 to 200")
        _require(1 <= self.times <= 200, "times", self.times, "1 to 200")
        _require(self.fill in FILLS, "fill", self.fill, f"one of {', '.join(FILLS)}")
        _require(self.base in BASES, "base", self.base, f"one of {', '.join(BASES)}")
        _require(0 < self.share <= 1, "share", self.share, "a share above 0, at most 1")
        _require(0 < self.area < 1, "area", self.area, "a share above 0 and below 1")
        _require(0 <= self.draws <= 1000, "draws", self.draws, "0 to 1000")
        _require(self.seed >= 0, "seed", self.seed, "a whole number, 0 or more")
        _require(0.005 <= self.window <= 2, "window", self.window, "0.005 to 2 seconds")


def _require(good: bool, key: str, got: object, wanted: str) -> None:
    if not good:
        raise UserError(f"explanation.{key}: got {got!r}; expected {wanted}")
