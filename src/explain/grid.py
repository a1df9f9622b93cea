"""A picture divided into bands and times, each known in pixels, in hertz and in seconds."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from src.data.waveform import Waveform
from src.errors import UserError
from src.features.pipeline import ImageTransform

Cells = Bool[np.ndarray, "bands times"]


@dataclass(frozen=True, eq=False)
class Grid:
    """Cells of a picture: bands from the top down, times from left to right.

    A picture of several copies of the clip (preprocess=augmented) shows each instant once per copy: a cell is the same
    instants in all of them. Rows that no sound can reach, above half the sample rate, belong to no band.

    Attributes:
        band_of_row: of each row of the picture; -1: none. time_of_column: of each column.
        hertz: edges of the bands, falling; None where rows are no frequencies: there is one band then.
        seconds: edges of the times, rising, from the beginning of the clip.
    """

    band_of_row: Int64[np.ndarray, " rows"]
    time_of_column: Int64[np.ndarray, " columns"]
    hertz: Float64[np.ndarray, " edges"] | None
    seconds: Float64[np.ndarray, " instants"]

    @property
    def shape(self) -> tuple[int, int]:
        """Bands, times."""
        bands = 1 if self.hertz is None else len(self.hertz) - 1
        return bands, len(self.seconds) - 1

    def pixels(self, cells: Cells) -> Bool[np.ndarray, "rows columns"]:
        """Which pixels belong to the cells."""
        inside: Bool[np.ndarray, "rows columns"] = cells[self.band_of_row][:, self.time_of_column]
        inside[self.band_of_row < 0] = False
        return inside

    def means(self, values: Float64[np.ndarray, "rows columns"]) -> Float64[np.ndarray, "bands times"]:
        """Mean over each cell's pixels."""
        bands, times = self.shape
        rows = self.band_of_row[:, None] == np.arange(bands)
        columns = self.time_of_column[:, None] == np.arange(times)
        sums = rows.T.astype(np.float64) @ values @ columns
        found: Float64[np.ndarray, "bands times"] = sums / np.outer(rows.sum(0), columns.sum(0))
        return found

    def at(
        self, hertz: Float64[np.ndarray, " bins"], seconds: Float64[np.ndarray, " frames"], cells: Cells
    ) -> Bool[np.ndarray, "bins frames"]:
        """Whether each frequency at each instant lies in one of the cells; what the picture does not show never does.

        Instants before the clip count as its first, those after it as its last.
        """
        times = np.clip(np.searchsorted(self.seconds, seconds, side="right") - 1, 0, self.shape[1] - 1)
        if self.hertz is None:
            everywhere: Bool[np.ndarray, "bins frames"] = np.repeat(cells[:, times], len(hertz), axis=0)
            return everywhere
        bands = np.searchsorted(-self.hertz, -hertz, side="right") - 1
        shown = (bands >= 0) & (bands < self.shape[0])
        inside: Bool[np.ndarray, "bins frames"] = cells[np.where(shown, bands, 0)][:, times]
        inside[~shown] = False
        return inside


def divide(
    image_transform: ImageTransform, waveform: Waveform, pixels: tuple[int, int], cells: tuple[int, int]
) -> Grid:
    """The grid of a clip's picture.

    Args:
        waveform: the clip as recorded. pixels: rows and columns of its picture.
        cells: bands and times wanted; fewer where there are not so many rows or columns.

    Raises:
        UserError: no row lies below half the clip's sample rate.
    """
    (rows, columns), (bands, times) = pixels, cells
    copies = max(1, len(image_transform.preprocess.levels_dbfs))
    duration = waveform.duration
    times = max(1, min(times, columns // copies))
    instants = (np.arange(columns) / image_transform.spectrogram.columns_per_second) % duration
    time_of_column = np.minimum((instants * times / duration).astype(np.int64), times - 1)
    seconds = np.linspace(0, duration, times + 1)
    centres = image_transform.spectrogram.frequencies(waveform.sample_rate)
    if centres is None:
        return Grid(np.zeros(rows, np.int64), time_of_column, None, seconds)
    first = int((centres >= waveform.sample_rate / 2).sum())  # rows fall in frequency
    heard = rows - first
    if heard == 0:
        raise UserError(
            f"explain: the picture shows nothing below {waveform.sample_rate / 2:g} Hz, half this clip's sample rate: "
            "it is black. Use clips of a higher rate, or a run with a spectrogram of lower bands"
        )
    bands = min(bands, heard)
    band_of_row = (np.arange(rows) - first) * bands // heard
    band_of_row[:first] = -1
    starts = [first + int(np.argmax(band_of_row[first:] == band)) for band in range(bands)]
    edges = _edges(centres)[[*starts, rows]]
    return Grid(band_of_row, time_of_column, np.minimum(edges, waveform.sample_rate / 2), seconds)


def _edges(centres: Float64[np.ndarray, " rows"]) -> Float64[np.ndarray, " edges"]:
    """Halfway between neighbouring rows; the outermost as far from their row as its other edge."""
    if len(centres) == 1:
        return np.array([2 * centres[0], 0.0])
    middle = (centres[1:] + centres[:-1]) / 2
    top, bottom = 2 * centres[0] - middle[0], 2 * centres[-1] - middle[-1]
    edges: Float64[np.ndarray, " edges"] = np.maximum(np.concatenate([[top], middle, [bottom]]), 0.0)
    return edges
