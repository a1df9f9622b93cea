"""Any picture to a network's input: squashed to its size, aspect ignored, three channels, its scale of values."""

from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float32, UInt8

from src.errors import UserError


def resize(
    picture: UInt8[np.ndarray, "rows columns *colours"], height: int, width: int, *, antialias: bool
) -> Float32[np.ndarray, "colours height width"]:
    """Resize a picture to height x width by bilinear interpolation, unrounded.

    Args:
        picture: 0 to 255; shape (rows, columns), or (rows, columns, 3) in colour.
        height: rows wanted.
        width: columns wanted.
        antialias: True: each new pixel is a triangle-weighted mean of all the old pixels it covers, so that nothing of
            a wide spectrogram is skipped. False: what the retrain script of 2016 did (TensorFlow 1's
            `resize_bilinear`): between four neighbours of the point (y rows/height, x columns/width), corner to
            corner, horizontally first. At 1200 -> 299 columns that never looks at half of them.

    Returns:
        Still 0 to 255; one channel for grey, three for colour.

    Raises:
        UserError: the picture has no pixels, or neither one nor three channels.
    """
    if picture.size == 0 or picture.shape[2:] not in ((), (3,)):
        raise UserError(
            f"a picture of shape {picture.shape} came; expected (rows, columns) or (rows, columns, 3) with at least "
            "one pixel. Is the spectrogram of this clip empty?"
        )
    channels = picture[None] if picture.ndim == 2 else np.moveaxis(picture, -1, 0)
    resize = _triangle if antialias else _four_neighbours
    return resize(channels.astype(np.float32), height, width)


def scaled(
    values: Float32[np.ndarray, "colours height width"], mean: tuple[float, ...], deviation: tuple[float, ...]
) -> Float32[np.ndarray, "3 height width"]:
    """(values - mean) / deviation for each of three channels, all on the scale 0 to 255; grey is repeated."""
    offset, scale = (np.asarray(each, np.float32)[:, None, None] for each in (mean, deviation))
    return np.ascontiguousarray((values - offset) / scale)


def _triangle(channels: Float32[np.ndarray, "c rows columns"], height: int, width: int) -> Float32[np.ndarray, "c h w"]:
    resized = torch.nn.functional.interpolate(
        torch.from_numpy(channels)[None], (height, width), mode="bilinear", align_corners=False, antialias=True
    )
    result: np.ndarray = resized[0].numpy()
    return result


def _four_neighbours(
    channels: Float32[np.ndarray, "c rows columns"], height: int, width: int
) -> Float32[np.ndarray, "c h w"]:
    top, bottom, down = _neighbours(channels.shape[1], height)
    left, right, across = _neighbours(channels.shape[2], width)
    wide: np.ndarray = channels[:, :, left] + (channels[:, :, right] - channels[:, :, left]) * across
    result: np.ndarray = wide[:, top] + (wide[:, bottom] - wide[:, top]) * down[:, None]
    return result


@lru_cache(maxsize=64)
def _neighbours(old: int, new: int) -> tuple[np.ndarray, np.ndarray, Float32[np.ndarray, " new"]]:
    """For each new index: the old index at or below its place, the next one, and how far it lies between them."""
    place = np.arange(new, dtype=np.float32) * np.float32(old / new)
    below = np.minimum(np.floor(place).astype(np.int64), old - 1)
    return below, np.minimum(below + 1, old - 1), place - below.astype(np.float32)
