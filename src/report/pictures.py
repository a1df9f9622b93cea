"""Figures 1, 2, 3, 6 and 7: clips as waveforms and spectrograms."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from src.data.clip import Clip
from src.errors import UserError
from src.report.clip_loader import ClipLoader, Shown
from src.report.document import Picture, Report
from src.tracking.figures import INK, canvas, draw_spectrogram, png, tidy

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_NOTE = re.compile(r"(\d{2,3})[-_](\d{2,3})$")
_METRES = {
    "guitar_3_4": "guitar, 3/4",
    "guitar_4_4": "guitar, 4/4",
    "piano_3_4": "piano, 3/4",
    "piano_4_4": "piano, 4/4",
}
_SECONDS = 6.0
_MIDDLE_C, _FORTE = 60, 100


def figure1(studio: ClipLoader) -> Report:
    """The waveform of one clip."""
    shown = studio.any("composer", "unprocessed")
    clip = shown.clips[0]
    sound = shown.waveform(clip)
    mono = sound.mono("mean")
    figure = canvas(9.0, 2.6)
    axes = figure.add_subplot()
    # A column of pixels holds hundreds of samples: their extremes are what a drawn line would cover.
    starts = np.arange(min(len(mono), 1800)) * len(mono) // min(len(mono), 1800)
    seconds = np.append(starts, len(mono)) / sound.sample_rate
    low, high = (np.append(extreme.reduceat(mono, starts), mono[-1]) for extreme in (np.minimum, np.maximum))
    axes.fill_between(seconds, low, high, color="#2f6db3", linewidth=0.3)
    axes.axhline(0, color=INK, linewidth=0.4)
    axes.set_xlim(0, sound.duration)
    reach = 1.1 * max(float(np.abs(mono).max()), 1e-3)
    axes.set_ylim(-reach, reach)
    axes.set_xlabel("seconds", fontsize=9)
    axes.set_ylabel("amplitude (full scale is 1)", fontsize=9)
    tidy(axes)
    return _report("figure1", "Figure 1: a waveform", png(figure), "Amplitude of one clip over time", shown.told(clip))


def figure2(studio: ClipLoader) -> Report:
    """The spectrogram of the same clip."""
    shown = studio.any("composer", "normalized")
    clip = shown.clips[0]
    figure = canvas(9.0, 3.2)
    _panel(figure.add_subplot(), shown, clip)
    alt = "Spectrogram of the clip of figure 1, normalized"
    return _report("figure2", "Figure 2: the spectrogram of the same clip", png(figure), alt, shown.told(clip))


def figure3(studio: ClipLoader) -> Report:
    """Timing against timbre: guitar above, piano below; 3/4 on the left, 4/4 on the right."""
    shown = studio.shown("timing_timbre", "normalized")
    clips = alike(shown.clips, list(_METRES), _variant)
    window = replace(shown.image_transform.window, duration=_SECONDS)
    begun = replace(shown, image_transform=replace(shown.image_transform, window=window))
    figure = canvas(10.0, 5.6)
    for number, clip in enumerate(clips, start=1):
        axes = figure.add_subplot(2, 2, number)
        _panel(axes, begun, clip, _METRES[_class(clip)])
    alt = "Four spectrograms: guitar and piano, in 3/4 and in 4/4; the first beat of a bar is brighter"
    title = "Figure 3: timing against timbre, the first six seconds"
    return _report("figure3", title, png(figure), alt, shown.told(*clips))


def figure6(studio: ClipLoader) -> Report:
    """Acoustic, electronic and synthetic keyboard, playing the same note at the same velocity."""
    shown = studio.shown("nsynth_family", "normalized")
    labels = ["acoustic", "electronic", "synthetic"]
    clips = alike(shown.clips, labels, _note, best=_near_middle_c)
    figure = canvas(10.0, 3.4)
    for number, clip in enumerate(clips, start=1):
        _panel(figure.add_subplot(1, 3, number), shown, clip, f"{clip.label} keyboard")
    told = shown.told(*clips)
    alt = "Three spectrograms of one note: acoustic, electronic and synthetic keyboard"
    return _report("figure6", "Figure 6: three keyboards, the same note", png(figure), alt, told)


def figure7(studio: ClipLoader) -> Report:
    """Eight copies of a clip, quietest first."""
    shown = studio.any("ballroom", "augmented")
    clip = shown.clips[0]
    figure = canvas(10.0, 3.2)
    axes = figure.add_subplot()
    _panel(axes, shown, clip)
    levels = shown.image_transform.preprocess.levels_dbfs
    width = axes.get_xlim()[1] / len(levels)
    for number, level in enumerate(levels):
        axes.text(
            (number + 0.5) * width,
            4,
            f"{level:.0f} dBFS".replace("-", "−"),
            color="white",
            fontsize=8,
            ha="center",
            va="top",
        )
        if number:
            axes.axvline(number * width, color="white", linewidth=0.4, alpha=0.5)
    alt = (
        "One spectrogram of eight copies of a clip, each 5 dB louder than the one before; the first are barely visible"
    )
    return _report("figure7", "Figure 7: one clip at eight levels", png(figure), alt, shown.told(clip))


def alike(
    clips: Sequence[Clip],
    labels: Sequence[str],
    key: Callable[[Clip], str],
    best: Callable[[str], float] | None = None,
) -> list[Clip]:
    """A clip of each class with the same key (the best one that all classes have), or the first of each.

    Args:
        best: how far a key is from what is wanted.

    Raises:
        UserError: a class has no clips.
    """
    by_class = {label: {key(clip): clip for clip in reversed(clips) if _class(clip) == label} for label in labels}
    shared = set.intersection(*(set(found) for found in by_class.values()))
    lacking = [label for label, found in by_class.items() if not found]
    if lacking:
        raise UserError(f"no clips of {', '.join(lacking)} to draw; expected some of {', '.join(labels)}")
    if not shared:
        return [next(iter(reversed(found.values()))) for found in by_class.values()]
    chosen = min(sorted(shared), key=best) if best else min(shared)
    return [by_class[label][chosen] for label in labels]


def _class(clip: Clip) -> str:
    """The class of the base dataset, which a re-labelled clip keeps in its name."""
    return clip.name.split("/", 1)[0]


def _variant(clip: Clip) -> str:
    """What the four classes share: a group, or the file's name."""
    return clip.group or clip.name.split("/", 1)[-1]


def _note(clip: Clip) -> str:
    found = _NOTE.search(clip.name)
    return "-".join(found.groups()) if found else clip.name


def _near_middle_c(key: str) -> float:
    found = _NOTE.search(key)
    return abs(int(found[1]) - _MIDDLE_C) + abs(int(found[2]) - _FORTE) / 1000 if found else float("inf")


def _panel(axes: "Axes", shown: Shown, clip: Clip, title: str = "") -> None:
    picture, seconds = shown.picture(clip)
    draw_spectrogram(axes, picture, shown.image_transform.spectrogram, seconds)
    if title:
        axes.set_title(title, fontsize=10, color=INK)


def _report(name: str, title: str, content: bytes, alt: str, told: str) -> Report:
    return Report(name, title, pictures=(Picture(name, title, content, alt, (f"Drawn from {told}.",)),))
