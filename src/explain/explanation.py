"""One clip explained: what speaks for its class, which regions decide, and whether they really do."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float32, Float64

from src.data.waveform import Waveform
from src.errors import UserError
from src.explain import gradcam, occlusion
from src.explain.grid import Cells, Grid, divide
from src.explain.occlusion import Effects, Eye, Level, Picture
from src.explain.regions import Candidate, Region, candidates, deciding, elsewhere, regions
from src.explain.resynthesis import split
from src.features.pipeline import FeaturePipeline
from src.head import FittedHead
from src.head.network import FittedNetwork

if TYPE_CHECKING:
    from torch import nn

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
        n_resamples: regions of the same shape elsewhere that are removed for comparison. seed: of these.
        window: seconds of the window in which the sound is taken apart.
        layer: module of the network whose maps Grad-CAM weighs; None: the last map before pooling.
    """

    bands: int
    times: int
    fill: str
    base: str
    share: float
    area: float
    n_resamples: int
    seed: int
    window: float
    layer: str | None

    def __post_init__(self) -> None:
        for key, good, expected in (
            ("bands", 1 <= self.bands <= 200, "1 to 200"),
            ("times", 1 <= self.times <= 200, "1 to 200"),
            ("fill", self.fill in FILLS, f"one of {', '.join(FILLS)}"),
            ("base", self.base in BASES, f"one of {', '.join(BASES)}"),
            ("share", 0 < self.share <= 1, "a share above 0, at most 1"),
            ("area", 0 < self.area < 1, "a share above 0 and below 1"),
            ("n_resamples", 0 <= self.n_resamples <= 1000, "0 to 1000"),
            ("seed", self.seed >= 0, "a whole number, 0 or more"),
            ("window", 0.005 <= self.window <= 2, "0.005 to 2 seconds"),
        ):
            if not good:
                raise UserError(f"explanation.{key}: got {getattr(self, key)!r}; expected {expected}")


_RANDOM_HEADS = 20
Said = Float32[np.ndarray, " classes"]


@dataclass(frozen=True)
class Model:
    """What is explained.

    Attributes:
        classes: in the order of the head's outputs. workers: threads.
    """

    pipeline: FeaturePipeline
    head: FittedHead
    classes: Sequence[str]
    workers: int

    def said(self, pictures: Iterable[Picture]) -> Float32[np.ndarray, "pictures classes"]:
        """Probabilities of each picture."""
        return self.head.predict_proba(Eye(self.pipeline.backbone, self.workers).features(pictures))


@dataclass(frozen=True, eq=False)
class Check:
    """What the model says where the deciding regions alone are left, and where they are gone.

    Attributes:
        only, without: probabilities of all classes. elsewhere: of the class explained, without regions of the same
            shape in other places.
    """

    only: Said
    without: Said
    elsewhere: Float32[np.ndarray, " resamples"]


@dataclass(frozen=True, eq=False)
class Explanation:
    """One decision explained.

    Attributes:
        target: position of the class explained. said: probabilities of the clip as it is.
        cam: Grad-CAM over the picture, scaled to at most 1, or None; cam_cells: its mean over each cell.
        no_cam: why there is none.
        chosen: the deciding cells; regions: the same, where they lie.
        in_picture: checked by hiding them in the picture. in_sound: by taking them out of the sound.
        only, without: those two sounds.
        random_heads: mean magnitude of the rank correlation between these effects and those under heads whose weights
            are shuffled; None where the head has no weights to shuffle.
    """

    classes: tuple[str, ...]
    target: int
    said: Said
    picture: Picture
    grid: Grid
    effects: Effects
    cam: Float64[np.ndarray, "rows columns"] | None
    cam_cells: Float64[np.ndarray, "bands times"] | None
    no_cam: str
    chosen: Candidate
    regions: list[Region]
    in_picture: Check
    in_sound: Check
    only: Waveform
    without: Waveform
    random_heads: float | None


def explain(model: Model, waveform: Waveform, settings: Settings, target: int | None) -> Explanation:
    """Explain what the model says of a clip.

    Args:
        waveform: the clip as recorded. target: position of the class to explain; None: the one the model chooses.

    Raises:
        UserError: a layer that is not there, or a model that knows one class only.
    """
    network = _network(model)  # before the backbone looks at anything: its engine may change the network
    picture = model.pipeline.image_transform.picture(waveform)
    rows, columns = picture.shape[:2]
    grid = divide(model.pipeline.image_transform, waveform, (rows, columns), (settings.bands, settings.times))
    level = occlusion.fill(picture, grid, settings.fill)
    features = Eye(model.pipeline.backbone, model.workers).features(occlusion.variants(picture, grid, level))
    said = model.head.predict_proba(features[:1])[0]
    target = int(said.argmax()) if target is None else target
    effects = occlusion.effects(model.head, features, grid.shape, target)
    cam, no_cam = _cam(network, model, picture, target, settings.layer)
    cam_cells = None if cam is None else grid.means(cam)
    case = _Case(model, waveform, picture, grid, level, target, settings)
    chosen = case.chosen(effects, cam_cells)
    in_sound, only, without = case.in_sound(chosen.cells)
    return Explanation(
        classes=tuple(model.classes),
        target=target,
        said=said,
        picture=picture,
        grid=grid,
        effects=effects,
        cam=cam,
        cam_cells=cam_cells,
        no_cam=no_cam,
        chosen=chosen,
        regions=regions(chosen.cells, chosen.basis, grid),
        in_picture=case.in_picture(chosen.cells),
        in_sound=in_sound,
        only=only,
        without=without,
        random_heads=_random_heads(model.head, features, effects, target, settings.seed),
    )


@dataclass(frozen=True, eq=False)
class _Case:
    """A clip and its picture, of which parts are taken away."""

    model: Model
    waveform: Waveform
    picture: Picture
    grid: Grid
    level: Level
    target: int
    settings: Settings

    def chosen(self, effects: Effects, cam: Float64[np.ndarray, "bands times"] | None) -> Candidate:
        """The candidate that matters for where it is: the class falls further without it than without its like."""
        share, area = self.settings.share, self.settings.area
        if self.settings.base == "gradcam" and cam is not None:
            return Candidate("gradcam", cam, deciding(cam, share, area))
        found = candidates(effects, share, area)
        return found[int(np.argmax([self._advantage(one.cells) for one in found]))]

    def in_picture(self, cells: Cells) -> Check:
        said = self._hidden(~cells, cells, *self._elsewhere(cells))
        return Check(said[0], said[1], said[2:, self.target])

    def in_sound(self, cells: Cells) -> tuple[Check, Waveform, Waveform]:
        """Each sound goes the whole way of any other clip: preprocessing, picture, network."""
        only, without = self._split(cells)
        removed = (self._split(other)[1] for other in self._elsewhere(cells))
        said = self.model.said(map(self.model.pipeline.image_transform.picture, chain((only, without), removed)))
        return Check(said[0], said[1], said[2:, self.target]), only, without

    def _advantage(self, cells: Cells) -> float:
        """In probability: in log-odds a hole across all bands, which looks like a new onset, would beat everything."""
        said = self._hidden(cells, *self._elsewhere(cells))[:, self.target].astype(np.float64)
        return float(said[1:].mean() - said[0]) if len(said) > 1 else -float(said[0])

    def _hidden(self, *parts: Cells) -> Float32[np.ndarray, "pictures classes"]:
        return self.model.said(occlusion.hidden(self.picture, self.grid, cells, self.level) for cells in parts)

    def _split(self, cells: Cells) -> tuple[Waveform, Waveform]:
        return split(self.waveform, self.grid, cells, self.settings.window)

    def _elsewhere(self, cells: Cells) -> list[Cells]:
        return elsewhere(cells, self.settings.n_resamples, np.random.default_rng(self.settings.seed))


def _network(model: Model) -> "nn.Module | str":
    """The network, or why there is none."""
    try:
        return gradcam.differentiable(model.pipeline.backbone, model.head)
    except gradcam.Inapplicable as reason:
        return str(reason)


def _cam(
    network: "nn.Module | str", model: Model, picture: Picture, target: int, layer: str | None
) -> tuple[Float64[np.ndarray, "rows columns"] | None, str]:
    """Grad-CAM over the picture, or why there is none."""
    if isinstance(network, str):
        return None, network
    prepared = model.pipeline.backbone.prepare(picture)
    try:
        cam = gradcam.gradcam(network, model.head, prepared, target, layer)
    except gradcam.Inapplicable as reason:
        return None, str(reason)
    return gradcam.stretched(cam / (cam.max() or 1.0), picture.shape[0], picture.shape[1]), ""


def _random_heads(head: FittedHead, features: np.ndarray, effects: Effects, target: int, seed: int) -> float | None:
    """The sanity check of Adebayo et al. (2018) on the head: an explanation that shuffled weights share is none."""
    if not isinstance(head, FittedNetwork) or effects.cells.size < 3:
        return None
    rng = np.random.default_rng([seed, 1])
    ranks = _ranks(effects.cells)
    found = []
    for _ in range(_RANDOM_HEADS):
        weights = tuple(rng.permutation(weight.ravel()).reshape(weight.shape) for weight in head.weights)
        other = occlusion.effects(replace(head, weights=weights), features, effects.cells.shape, target)
        found.append(abs(float(np.corrcoef(ranks, _ranks(other.cells))[0, 1])))
    return float(np.mean(found))


def _ranks(values: Float64[np.ndarray, "bands times"]) -> Float64[np.ndarray, " cells"]:
    return np.argsort(np.argsort(values.ravel(), kind="stable"), kind="stable").astype(np.float64)


VERSION = 1
"""Raised by whoever changes what a key of the summary means, or takes one away."""

_HEADER = ("part", "low_hz", "high_hz", "start_s", "end_s", "occlusion_nats", "gradcam", "deciding")


def summary(explanation: Explanation, settings: Settings, waveform: Waveform) -> dict[str, Any]:
    """As plain values; probabilities and shares in 0..1, effects in nats, frequencies in Hz, times in seconds.

    Args:
        waveform: the clip as recorded.
    """
    cells, picture = explanation.chosen.cells, explanation.picture.astype(np.float64)
    inside = explanation.grid.pixels(cells)
    heard = waveform.samples.astype(np.float64)
    return {
        "version": VERSION,
        "predicted": explanation.classes[int(explanation.said.argmax())],
        "explained": explanation.classes[explanation.target],
        "probabilities": _named(explanation, explanation.said),
        "method": {
            "chosen_by": explanation.chosen.name,
            "fill": settings.fill,
            "bands": explanation.grid.shape[0],
            "times": explanation.grid.shape[1],
            "gradcam": explanation.no_cam or f"layer {settings.layer or 'last map before pooling'}",
        },
        "deciding": {
            "regions": [_region(region) for region in explanation.regions],
            "share_of_effect": _rounded(explanation.chosen.share),
            "share_of_area": _rounded(float(cells.mean())),
            "share_of_brightness": _share(picture[inside].sum(), picture.sum()),
            "share_of_sound_energy": _share((explanation.only.samples.astype(np.float64) ** 2).sum(), (heard**2).sum()),
        },
        "picture": _check(explanation, explanation.in_picture),
        "sound": _check(explanation, explanation.in_sound),
        "rank_correlation_with_random_heads": (
            None if explanation.random_heads is None else _rounded(explanation.random_heads)
        ),
    }


def effects_csv(explanation: Explanation) -> str:
    """A row for each band over the whole time, each time over all bands, and each cell.

    Columns: part (band, time or cell), low_hz and high_hz (empty where rows are no frequencies), start_s and end_s,
    occlusion_nats (by how much the log-odds of the class fall), gradcam (mean, 1 is its maximum; cells only), deciding.
    """
    grid, effects = explanation.grid, explanation.effects
    bands, times = grid.shape
    everything = slice(None)
    stream = io.StringIO()
    table = csv.writer(stream, lineterminator="\n")
    table.writerow(_HEADER)
    for band in range(bands):
        table.writerow(["band", *_where(explanation, band, everything), f"{effects.bands[band]:.6g}", "", ""])
    for time in range(times):
        table.writerow(["time", *_where(explanation, everything, time), f"{effects.times[time]:.6g}", "", ""])
    for band, time in np.ndindex(bands, times):
        cam = "" if explanation.cam_cells is None else f"{explanation.cam_cells[band, time]:.6g}"
        here = [f"{effects.cells[band, time]:.6g}", cam, int(explanation.chosen.cells[band, time])]
        table.writerow(["cell", *_where(explanation, band, time), *here])
    return stream.getvalue()


def _where(explanation: Explanation, band: int | slice, time: int | slice) -> list[str]:
    """Lowest and highest frequency, first and last second."""
    hertz, seconds = explanation.grid.hertz, explanation.grid.seconds
    start, end = (0, -1) if isinstance(time, slice) else (time, time + 1)
    when = [f"{seconds[start]:.4f}", f"{seconds[end]:.4f}"]
    if hertz is None:
        return ["", "", *when]
    top, bottom = (0, -1) if isinstance(band, slice) else (band, band + 1)
    return [f"{hertz[bottom]:.2f}", f"{hertz[top]:.2f}", *when]


def _region(region: Region) -> dict[str, Any]:
    return {
        "low_hz": None if region.hertz is None else round(region.hertz[0], 2),
        "high_hz": None if region.hertz is None else round(region.hertz[1], 2),
        "start_s": round(region.seconds[0], 4),
        "end_s": round(region.seconds[1], 4),
        "cells": region.cells,
        "effect": _rounded(region.effect),
    }


def _check(explanation: Explanation, check: Check) -> dict[str, Any]:
    """What the model says with only, and without, the deciding regions, and without others of the same shape."""
    others = check.elsewhere
    some = {"mean": others.mean(), "lowest": others.min(), "highest": others.max()} if len(others) else {}
    return {
        "only": _named(explanation, check.only),
        "without": _named(explanation, check.without),
        "elsewhere": {"n_resamples": len(others), **{key: _rounded(float(value)) for key, value in some.items()}},
    }


def _named(explanation: Explanation, said: Said) -> dict[str, float]:
    return {name: _rounded(float(value)) for name, value in zip(explanation.classes, said, strict=True)}


def _share(part: float, whole: float) -> float:
    return _rounded(float(part / whole)) if whole > 0 else 0.0


def _rounded(value: float) -> float:
    return float(f"{value:.6g}")
