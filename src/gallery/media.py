"""Picture and sound of clips, small enough to travel inside a page."""

import io
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from src.data.audio import UnreadableAudio, decode
from src.data.clip import Clip
from src.data.encode import mp3
from src.data.waveform import Waveform
from src.errors import UserError
from src.features.pipeline import ImageTransform
from src.features.workers import prepared

SOUNDS = ("embed", "link", "none")
_WIDTH, _HEIGHT, _QUALITY = 640, 256, 72
_TICKS = (100.0, 1000.0, 10000.0)


@dataclass(frozen=True)
class Media:
    """How clips are shown.

    Attributes:
        sounds: `embed`: as small MP3s within the page, which works wherever it goes; `link`: to the dataset's own
            files, which works where it was made; `none`.
        clips: most clips on the page. megabytes: of embedded sounds at most. seconds: of each that are embedded.
        cell: most clips shown for a cell of the matrix and for a list.
    """

    sounds: str
    clips: int
    megabytes: float
    seconds: float
    cell: int

    def __post_init__(self) -> None:
        if self.sounds not in SOUNDS:
            raise UserError(f"media.sounds: got {self.sounds!r}; expected one of {', '.join(SOUNDS)}")
        for key in ("clips", "megabytes", "seconds", "cell"):
            if getattr(self, key) <= 0:
                raise UserError(f"media.{key}: got {getattr(self, key)}; expected more than 0")


@dataclass(frozen=True)
class Shown:
    """One clip on the page.

    Attributes:
        webp: its picture. ticks: text and height (0 the top, 1 the bottom) of marks in Hz.
        sound: address of its sound, empty where there is none; whole: whether that is all of it.
        trouble: why it cannot be shown, or empty.
    """

    webp: bytes = b""
    ticks: tuple[tuple[str, float], ...] = ()
    sound: bytes | str = b""
    whole: bool = True
    trouble: str = ""


def collect(
    ids: Sequence[str],
    clips: Mapping[str, Clip],
    image_transform: ImageTransform,
    media: Media,
    page: Path,
    workers: int,
) -> dict[str, Shown]:
    """Pictures and sounds of the clips named, the first ones first: sounds end where the megabytes do.

    Args:
        clips: of the dataset, by id. page: file that links start from. workers: processes or threads.
    """
    items = [(name, clips.get(name)) for name in ids]

    def show(clip: Clip | None) -> Shown:
        return _shown(clip, image_transform, media, page)

    with prepared(show, items, workers=workers, count=len(items), in_order=True) as results:
        found = [Shown(trouble=str(shown)) if isinstance(shown, UnreadableAudio) else shown for _, shown in results]
    left = media.megabytes * 1e6
    kept: dict[str, Shown] = {}
    for name, shown in zip(ids, found, strict=True):
        left -= len(shown.sound) if isinstance(shown.sound, bytes) else 0
        kept[name] = shown if left >= 0 else replace(shown, sound=b"")
    return kept


def _shown(clip: Clip | None, image_transform: ImageTransform, media: Media, page: Path) -> Shown:
    if clip is None:
        return Shown(trouble="no longer in the dataset")
    waveform, _ = decode(clip.path, clip.cut(image_transform.window))
    shown = Shown(webp(image_transform.picture(waveform)), _ticks(image_transform, waveform.sample_rate))
    if media.sounds == "link":
        relative = Path(os.path.relpath(clip.path.resolve(), page.resolve().parent)).as_posix()
        return replace(shown, sound=quote(os.fsencode(relative)))
    if media.sounds == "none":
        return shown
    count = round(media.seconds * waveform.sample_rate)
    begun = Waveform(np.ascontiguousarray(waveform.samples[:, :count]), waveform.sample_rate)
    return replace(shown, sound=mp3(begun), whole=count >= waveform.samples.shape[1])


def webp(picture: UInt8[np.ndarray, "rows columns *colours"]) -> bytes:
    """The picture, no larger than a page can show."""
    image = Image.fromarray(picture)
    size = (min(_WIDTH, image.width), min(_HEIGHT, image.height))
    stream = io.BytesIO()
    image.resize(size, Image.Resampling.BOX).save(stream, "WEBP", quality=_QUALITY)
    return stream.getvalue()


def _ticks(image_transform: ImageTransform, sample_rate: int) -> tuple[tuple[str, float], ...]:
    centres = image_transform.spectrogram.frequencies(sample_rate)
    if centres is None or len(centres) < 2:
        return ()
    rows = np.arange(len(centres)) + 0.5
    inside = [hz for hz in _TICKS if centres[-1] <= hz <= centres[0]]
    return tuple(
        (f"{hz / 1000:g}k" if hz >= 1000 else f"{hz:g}", float(np.interp(-hz, -centres, rows)) / len(centres))
        for hz in inside
    )
