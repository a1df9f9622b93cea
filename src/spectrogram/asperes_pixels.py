"""From an envelope with several points a pixel to pixels: means under a Blackman window two pixels wide.

With r points a pixel, pixel i is the mean of the points from (i - 1) r to (i + 1) r. The first pixel has half a window.
"""

import numpy as np
from jaxtyping import Float32


class PixelMeans:
    """The means over an envelope of `points` that cover `pixels`, for the first `columns` pixels.

    Attributes:
        needed: how many of the first points they draw on.
    """

    def __init__(self, points: int, pixels: int, columns: int, keep: bool) -> None:
        """`keep`: hold on to the weights (8 bytes a point) rather than compute them at every call."""
        self._per_point = pixels / points
        # Points from edge i to edge i + 1 lie between pixels i and i + 1; they count for both.
        self._edges = -(-np.arange(columns + 1) * points // pixels)
        self.needed = int(self._edges[-1])
        self._kept = self._weights() if keep else None
        ones = np.ones(self.needed, np.float32)
        self._sums: Float32[np.ndarray, " columns"] = self._sum(ones)

    def __call__(self, envelope: Float32[np.ndarray, " needed"]) -> Float32[np.ndarray, " columns"]:
        """The pixels."""
        return np.asarray(self._sum(envelope) / self._sums)

    def _sum(self, envelope: Float32[np.ndarray, " needed"]) -> Float32[np.ndarray, " columns"]:
        even, odd = self._weights() if self._kept is None else self._kept
        even, odd = (np.add.reduceat(envelope * weights, self._edges[:-1]) for weights in (even, odd))
        pixels: Float32[np.ndarray, " columns"] = even + odd
        pixels[1:] += (even - odd)[:-1]
        return pixels

    def _weights(self) -> tuple[Float32[np.ndarray, " needed"], Float32[np.ndarray, " needed"]]:
        """Weights `even + odd` of each point for the pixel before it, `even - odd` for the pixel after it.

        The window `0.42 + 0.5 cos(pi x) + 0.08 cos(2 pi x)`, x pixels from its middle, taken at x and at 1 - x.
        """
        pixel = np.repeat(np.arange(len(self._edges) - 1, dtype=np.float64), np.diff(self._edges))
        after = np.arange(self.needed) * self._per_point - pixel
        cosine = np.cos((np.pi * after).astype(np.float32))
        return np.float32(0.34) + np.float32(0.16) * cosine * cosine, np.float32(0.5) * cosine
