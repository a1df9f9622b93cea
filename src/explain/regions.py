"""The regions that decide: which cells they may be, where they lie, and regions of the same shape elsewhere."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from src.explain.grid import Cells, Grid
from src.explain.occlusion import Effects


@dataclass(frozen=True)
class Region:
    """Cells that touch, and the box around them.

    Attributes:
        hertz: lowest and highest, None where rows are no frequencies. seconds: first and last, within the clip.
        cells: how many. effect: their effects' sum, in nats.
    """

    hertz: tuple[float, float] | None
    seconds: tuple[float, float]
    cells: int
    effect: float


@dataclass(frozen=True, eq=False)
class Candidate:
    """Cells that may be the deciding ones.

    Attributes:
        name: what was ranked: `cells`, whole `bands`, whole `times`, or `gradcam`.
        basis: effect of each cell, that of a whole band or time divided among its cells.
    """

    name: str
    basis: Float64[np.ndarray, "bands times"]
    cells: Cells

    @property
    def share(self) -> float:
        """Of all that speaks for the class, what these cells carry."""
        favour = np.maximum(self.basis, 0)
        return float(favour[self.cells].sum() / (favour.sum() or 1.0))


def candidates(effects: Effects, share: float, area: float) -> list[Candidate]:
    """The strongest cells, the strongest whole bands, and the strongest whole times.

    A sound that lasts is missed in no single cell, and one that fills all bands in no single band: which of the three
    holds what decides is found by hiding them.
    """
    bands, times = effects.cells.shape
    whole = np.ones((bands, times), dtype=bool)
    found = [Candidate("cells", effects.cells, deciding(effects.cells, share, area))]
    column, row = effects.bands[:, None], effects.times[None]
    found.append(Candidate("bands", column / times * whole, deciding(column, share, area) & whole))
    found.append(Candidate("times", row / bands * whole, deciding(row, share, area) & whole))
    return [one for one in found if not one.cells.all()] or found[:1]


def deciding(effects: Float64[np.ndarray, "bands times"], share: float, area: float) -> Cells:
    """The fewest cells whose effects make up `share` of all that speaks for the class, within `area` of all cells.

    None where nothing speaks for it.
    """
    flat = np.maximum(effects.ravel(), 0)
    order = np.argsort(-flat, kind="stable")
    total = np.cumsum(flat[order])
    count = int(np.searchsorted(total, share * total[-1] * (1 - 1e-12))) + 1
    count = min(count, max(1, int(area * flat.size)), int((flat > 0).sum()))
    chosen = np.zeros(flat.size, dtype=bool)
    chosen[order[:count]] = True
    return chosen.reshape(effects.shape)


def regions(cells: Cells, effects: Float64[np.ndarray, "bands times"], grid: Grid) -> list[Region]:
    """Cells that touch by a side, together; the region of the largest effect first."""
    from scipy.ndimage import label

    found = []
    labels, count = label(cells)
    for number in range(1, count + 1):
        here = labels == number
        bands, times = np.nonzero(here)
        hertz = None
        if grid.hertz is not None:
            hertz = (float(grid.hertz[bands.max() + 1]), float(grid.hertz[bands.min()]))
        seconds = (float(grid.seconds[times.min()]), float(grid.seconds[times.max() + 1]))
        found.append(Region(hertz, seconds, int(here.sum()), float(effects[here].sum())))
    return sorted(found, key=lambda region: -region.effect)


def elsewhere(cells: Cells, n_resamples: int, rng: np.random.Generator) -> list[Cells]:
    """The same cells moved by as many bands and times as it falls, around the edges; each place once.

    Fewer than `n_resamples` where there are not so many other places.
    """
    moved: dict[bytes, Cells] = {}
    for place in rng.permutation(cells.size):
        if len(moved) == n_resamples:
            break
        other = np.roll(cells, divmod(int(place), cells.shape[1]), axis=(0, 1))
        if not np.array_equal(other, cells):
            moved.setdefault(other.tobytes(), other)
    return list(moved.values())
