"""Envelopes from one transform of a whole padded signal, at exactly the bins that the specification names."""

from collections import defaultdict

import numpy as np
import scipy.fft
import torch
from jaxtyping import Complex64, Float32

from src.spectrogram.asperes_bands import Band, Grid
from src.spectrogram.asperes_fft import aligned_zeros, forward, inverse
from src.spectrogram.asperes_pixels import PixelMeans


class Whole:
    """Rows computed over the whole padded clip at once.

    The signal may be the clip itself, the clip brought to a lower rate (low bands need no more), or the clip with its
    frequencies mirrored, so that Nyquist is at 0, and then brought to a lower rate. All cover the same time.
    """

    def __init__(
        self, grid: Grid, bands: list[Band], means: dict[int, PixelMeans], points: int, mirrored: bool = False
    ) -> None:
        """`points`: length of the padded signal. `means`: by number of envelope points, where above a pixel's."""
        self._grid, self._points, self._mirrored, self._means = grid, points, mirrored, means
        # Where the padded length is odd, Nyquist lies half way between two bins.
        self._between = mirrored and grid.samples % 2 == 1
        self._groups: dict[int, list[tuple[int, int, Float32[np.ndarray, " bins"]]]] = defaultdict(list)
        for band in bands:
            bins = np.arange(band.first, band.stop) + 1
            gain = (band.gain(bins.astype(np.float64)) * 2 / points).astype(np.float32)
            first = grid.samples // 2 - bins[-1] if mirrored else bins[0]
            self._groups[band.points].append((band.row, int(first), gain[::-1] if mirrored else gain))

    def draw(self, signal: Float32[np.ndarray, " samples"], picture: Float32[np.ndarray, "rows columns"]) -> None:
        """Write the rows of these bands into the picture; amplitude 1 is a tone of amplitude 1 at a band's centre."""
        spectrum = self._spectrum(signal)
        columns = picture.shape[1]
        for points, bands in self._groups.items():
            slices = aligned_zeros(len(bands), points, dtype=torch.complex64)
            for out, (_, first, gain) in zip(slices, bands, strict=True):
                np.multiply(spectrum[first : first + len(gain)], gain, out=out[: len(gain)])
            envelopes = inverse(slices)
            rows = [row for row, _, _ in bands]
            if points == self._grid.pixels:
                picture[rows] = np.abs(envelopes[:, :columns])
            else:
                means = self._means[points]
                picture[rows] = [means(np.abs(envelope[: means.needed]))[:columns] for envelope in envelopes]

    def _spectrum(self, signal: Float32[np.ndarray, " samples"]) -> Complex64[np.ndarray, " bins"]:
        if self._between:
            time = np.arange(self._points)
            # The end of the padding is the time just before the clip.
            time[self._points * (self._grid.columns + self._grid.pixels) // (2 * self._grid.pixels) :] -= self._points
            return np.asarray(scipy.fft.fft(signal * np.exp(-1j * np.pi / self._points * time).astype(np.complex64)))
        padded = aligned_zeros(1, self._points)
        padded[0, : len(signal)] = signal
        spectrum: Complex64[np.ndarray, " bins"] = forward(padded)[0]
        # The tool counts the bin at Nyquist, which is real, as R + jR; mirroring takes the conjugate.
        if self._mirrored:
            spectrum[0] *= 1 - 1j
        elif self._points == self._grid.samples and self._points % 2 == 0:
            spectrum[-1] *= 1 + 1j
        return spectrum
