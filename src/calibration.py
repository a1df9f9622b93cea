"""Sounds made up here, whose pictures show an engine that computes in 8 bits which values a network meets.

They stand for any sound, and are always the same: what a clip's features are must not depend on other clips of the
dataset, least of all on those that test. Their pictures are drawn as the dataset's are, for a network meets other
values in other pictures.
"""

import json
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np
from jaxtyping import Complex128, Float64

from src.backbone.calibration import Calibration, Picture
from src.data.waveform import Waveform
from src.recipe import Drawing

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

VERSION = 1  # of `sound`: other sounds make other features
SOUNDS = 64
RATE = 44_100
_HIGHEST = 18_000  # Hz, of a partial
_PARTIALS = 40


def calibration(drawing: Drawing) -> Calibration:
    """The sounds' pictures in this drawing; nothing is drawn before it is asked for."""
    shown = cast("DataclassInstance", drawing.spectrogram)
    drawn = [drawing.mono, drawing.preprocess.levels_dbfs, type(shown).__qualname__, asdict(shown)]
    return Calibration(f"{SOUNDS} sounds, version {VERSION}", json.dumps(drawn), partial(_pictures, drawing))


def sounds() -> Iterator[Waveform]:
    """All of them, each with a generator of its own."""
    return (sound(np.random.default_rng([VERSION, number])) for number in range(SOUNDS))


def _pictures(drawing: Drawing) -> Iterator[Picture]:
    return map(drawing.picture, sounds())


def sound(rng: np.random.Generator) -> Waveform:
    """From 0.3 to 8 s of notes and strokes over a floor of noise; its peak lies between -30 and 0 dBFS."""
    length = int(RATE * 0.3 * 10 ** rng.uniform(0, 1.43))
    samples = np.zeros(length)
    together = rng.random() < 0.5  # a chord, or notes one after the other
    for _ in range(int(rng.integers(1, 12))):
        start = 0 if together else int(rng.uniform(0, 0.7) * length)
        samples[start:] += note(rng, length - start)
    if rng.random() < 0.5:
        for _ in range(int(rng.integers(1, 10))):
            start = int(rng.uniform(0, 0.9) * length)
            struck = stroke(rng, min(length - start, int(RATE * rng.uniform(0.02, 0.3))))
            samples[start : start + len(struck)] += struck
    floor = np.abs(samples).max() * 10 ** rng.uniform(-5, -1.5)
    samples += rng.normal(0, floor, length)
    loudest = 10 ** rng.uniform(-1.5, 0)
    return Waveform((samples / np.abs(samples).max() * loudest).astype(np.float32)[None], RATE)


def note(rng: np.random.Generator, length: int) -> Float64[np.ndarray, " length"]:
    """A pitch between 55 Hz and 2.5 kHz with partials that fall off, an attack, a decay, and perhaps a vibrato."""
    seconds = np.arange(length) / RATE
    pitch = 55 * 2 ** rng.uniform(0, 5.5)
    attack = 10 ** rng.uniform(-3, -0.7)
    decay = seconds[-1] * 10 ** rng.uniform(-1.5, 0.5) + 1 / RATE
    depth, speed = rng.uniform(0, 0.001) * rng.integers(0, 2), rng.uniform(3, 8)
    slope, every = rng.uniform(0.3, 2), int(rng.integers(1, 3))  # every partial, or the odd ones alone
    angle = 2 * np.pi * pitch * (seconds + depth * np.sin(2 * np.pi * speed * seconds) if depth else seconds)
    turns = np.cos(angle) + 1j * np.sin(angle)  # faster than a complex exponential
    envelope = np.exp(-seconds / decay) * (1 - np.exp(-seconds / attack)) * 10 ** rng.uniform(-1.5, 0)
    count = max(1, min(_PARTIALS, int(_HIGHEST / pitch)))
    strengths = np.zeros(count, np.complex128)
    for number in range(1, count + 1, every):
        phase = np.exp(2j * np.pi * rng.uniform())
        strengths[number - 1] = number**-slope * rng.uniform(0.3, 1) * phase
    summed: Float64[np.ndarray, " length"] = envelope * _partials(turns, strengths)
    return summed


def _partials(
    turns: Complex128[np.ndarray, " length"], strengths: Complex128[np.ndarray, " partials"]
) -> Float64[np.ndarray, " length"]:
    """Real part of the sum of strengths[n] * turns**(n + 1), by Horner's rule: partials without a sine for each."""
    total = np.zeros_like(turns)
    for strength in strengths[::-1]:
        total += strength
        total *= turns
    real: Float64[np.ndarray, " length"] = total.real
    return real


def stroke(rng: np.random.Generator, length: int) -> Float64[np.ndarray, " length"]:
    """A burst of noise that dies away, bright or dull."""
    noise = rng.normal(0, 1, length) * np.exp(-5 * np.arange(length) / length)
    if rng.random() < 0.5:
        noise = np.convolve(noise, np.full(20, 1 / 20), "same")
    struck: Float64[np.ndarray, " length"] = noise[:length] * 10 ** rng.uniform(-1.5, 0.3)
    return struck
