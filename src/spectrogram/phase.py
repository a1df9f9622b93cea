"""Phase as colour (the paper's future work, section 7): the paper's picture, its hue turning with each band's phase."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Float32, Float64, UInt8

from src.spectrogram.asperes import Asperes
from src.spectrogram.asperes_bands import Band, Grid
from src.spectrogram.settings import require

_ORIGINS = ("centre", "clip")


@dataclass(frozen=True)
class Phase(Asperes):
    """Brightness of the colours' strongest channel: the grey level of `Asperes`, exactly. Hue: the phase.

    A band's phase is that of its filtered signal at a column's first instant: a tone `A cos(2 pi f t + phi)`, t seconds
    from the clip's beginning, has the phase `2 pi f t + phi`. Red is 0, green a third of a turn, blue two thirds.

    Attributes:
        origin: `centre`: phase relative to a tone at the band's centre, so that the hue turns once for every hertz
            and second that the sound is off it; `clip`: the phase itself, whose hue turns f times a second (100 columns
            a second show only what is left of whole turns a column).
    """

    origin: str

    name: ClassVar[str] = "phase"

    def __post_init__(self) -> None:
        super().__post_init__()
        require(self.origin in _ORIGINS, "origin", self.origin, f"one of {', '.join(_ORIGINS)}")

    def picture(
        self, samples: Float32[np.ndarray, " samples"], sample_rate: int
    ) -> UInt8[np.ndarray, "rows columns 3"]:
        """Draw one signal; `sample_rate` in Hz. Silence is all 0.

        Raises:
            UserError: if a sample is not finite.
        """
        import scipy.fft  # settings are checked without

        grey = super().picture(samples, sample_rate)
        picture = np.zeros((*grey.shape, 3), np.uint8)
        if not grey.any():
            return picture
        grid = Grid.of_clip(self._scale, len(samples), sample_rate)
        spectrum = scipy.fft.rfft(samples / np.float32(np.abs(samples).max()), grid.samples)
        for band in grid.bands:
            hue = self._turns(spectrum, band, grid, grey.shape[1])
            picture[band.row] = np.rint(grey[band.row, :, None] * wheel(hue))
        return picture

    def _turns(self, spectrum: np.ndarray, band: Band, grid: Grid, columns: int) -> Float64[np.ndarray, " columns"]:
        """Phase of one band at each column, in turns (any whole number of them may be added)."""
        import scipy.fft

        bins = np.arange(band.first, band.stop) + 1
        filtered = spectrum[bins] * band.gain(bins.astype(np.float64)).astype(np.float32)
        # At the columns' instants, a tone at bin k is exp(2 pi j k i / pixels): bins that differ by `pixels` are one.
        folded = np.zeros((-(-len(bins) // grid.pixels), grid.pixels), filtered.dtype)
        folded.ravel()[: len(bins)] = filtered
        signal = scipy.fft.ifft(np.roll(folded.sum(axis=0), bins[0] % grid.pixels), norm="forward")[:columns]
        turns: Float64[np.ndarray, " columns"] = np.angle(signal).astype(np.float64) / (2 * np.pi)
        if self.origin == "clip":
            return turns
        centre = self._scale.centre(self._scale.bands - 1 - band.row) * grid.samples / grid.sample_rate
        return turns - centre * np.arange(columns) / grid.pixels


def wheel(turns: Float[np.ndarray, "*cells"]) -> Float[np.ndarray, "*cells 3"]:
    """Red, green and blue of each hue, the strongest 1 and the weakest 0 (the hexagon of HSV at full saturation)."""
    distance = (6 * turns[..., None] + np.array([0.0, 4.0, 2.0])) % 6
    strengths: Float[np.ndarray, "*cells 3"] = np.clip(np.abs(distance - 3) - 1, 0, 1)
    return strengths
