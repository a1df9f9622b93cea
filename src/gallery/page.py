"""The error gallery as one HTML file: what page.html.jinja is filled with."""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from src.gallery.judged import Judged
from src.gallery.media import Shown

_HERE = Path(__file__).resolve().parent
_CLASSES_SHOWN = 4
_MOST_COLUMNS = 40
"""Of the confusion matrix. Above it a row names the classes that its clips were most often taken for."""
_MOST_NAMED = 3
_MOST_CELLS = 400
"""Of the matrix whose clips the page shows."""
_CONTENTS = {
    "matrix": "Confusion matrix",
    "confident": "Most confidently wrong",
    "always": "Wrong for every seed",
    "disputed": "Seeds disagree",
    "cells": "Clips by cell",
    "runs": "Runs",
}


@dataclass(frozen=True)
class Told:
    """What the page says around the clips.

    Attributes:
        title: of the page. lead: paragraphs below it. notes: what a reader must know. runs: seed, id, accuracy of each.
        limit: most clips shown in one place.
    """

    title: str
    lead: tuple[str, ...]
    notes: tuple[str, ...]
    runs: tuple[tuple[int, str, float], ...]
    limit: int


def page(judged: Judged, shown: Mapping[str, Shown], told: Told) -> str:
    """The page.

    Args:
        shown: picture and sound by clip id.
    """
    environment = Environment(loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined)
    environment.filters |= {"base64": _base64, "breakable": _breakable, "number": _number, "digest": _digest}
    confusion = judged.confusion()
    occupied = [(int(i), int(j)) for i, j in np.argwhere(confusion > 0)]
    # mistakes first, the most frequent first
    linked = sorted(occupied, key=lambda pair: (pair[0] == pair[1], -confusion[pair], pair))[:_MOST_CELLS]
    cards: set[int] = set()

    def describe(clip: int) -> dict[str, Any]:
        # a clip that appears again shares the picture and the sound of its first card
        first = clip not in cards
        cards.add(clip)
        return {"first": first, "shown": shown.get(judged.ids[clip], Shown()), **_card(judged, clip)}

    return environment.get_template("page.html.jinja").render(
        judged=judged,
        shown=shown,
        told=told,
        describe=describe,
        confusion=confusion,
        totals=confusion.sum(axis=1),
        linked=dict.fromkeys(linked),
        cells_left=len(occupied) - len(linked),
        missed=_missed(confusion),
        most_columns=_MOST_COLUMNS,
        contents=_CONTENTS,
        tiles=_tiles(judged),
        style=(_HERE.parent / "report" / "page.css").read_text("utf8") + (_HERE / "gallery.css").read_text("utf8"),
        script=(_HERE / "gallery.js").read_text("utf8"),
    )


def _card(judged: Judged, clip: int) -> dict[str, Any]:
    """One clip: what it is, what each seed took it for, and the probabilities of the likeliest classes."""
    true, seeds, probabilities = int(judged.targets[clip]), len(judged.seeds), judged.probabilities[:, clip]
    votes, mean = np.bincount(judged.said[:, clip], minlength=len(judged.classes)), probabilities.mean(axis=0)
    verdict = "right" if votes[true] == seeds else "disputed" if votes[true] else "wrong"
    likely = [int(i) for i in np.argsort(-mean, kind="stable")]
    needed = {true, *map(int, judged.said[:, clip])}
    others = [i for i in likely if i not in needed][: max(0, _CLASSES_SHOWN - len(needed))]
    facts = [f"{judged.seconds[clip]:.1f} s"] if np.isfinite(judged.seconds[clip]) else []
    return {
        "id": judged.ids[clip],
        "label": judged.classes[true],
        "verdict": verdict,
        "tag": {"right": "good", "disputed": "open", "wrong": "bad"}[verdict],
        "votes": [(votes[i], judged.classes[i]) for i in np.argsort(-votes, kind="stable") if votes[i]],
        "facts": facts + ([f"group {judged.groups[clip]}"] if judged.groups[clip] else []),
        "odds": [
            {
                "is_true": i == true,
                "label": judged.classes[i],
                "probabilities": probabilities[:, i],
                "text": "; ".join(
                    f"seed {seed}: {100 * p:.1f} %" for seed, p in zip(judged.seeds, probabilities[:, i], strict=True)
                ),
            }
            for i in likely
            if i in needed or i in others
        ],
    }


def _missed(confusion: np.ndarray) -> list[tuple[int, list[int]]]:
    """Classes, the most often missed first, and what the clips of each were most often taken for."""
    errors = np.where(np.eye(len(confusion), dtype=bool), 0, confusion)
    return [
        (int(true), [int(j) for j in np.argsort(-errors[true], kind="stable")[:_MOST_NAMED] if errors[true, j] > 0])
        for true in np.argsort(-errors.sum(axis=1), kind="stable")
    ]


def _tiles(judged: Judged) -> list[tuple[str, str]]:
    accuracies = 100 * (1 - judged.wrong.mean(axis=1))
    spread = f" ± {accuracies.std(ddof=1):.1f}" if len(accuracies) > 1 else ""
    seeds = len(judged.seeds)
    return [
        (f"{accuracies.mean():.1f}{spread} %", f"accuracy over {seeds} seed{'s' * (seeds > 1)}"),
        (str(len(judged.ids)), "test clips"),
        (str(len(judged.always_wrong())), "wrong for every seed"),
        (str(len(judged.disputed())), "seeds disagree"),
    ]


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode("ascii")


def _digest(text: str) -> Markup:
    return Markup(f"sha256-{_base64(hashlib.sha256(text.encode()).digest())}")  # noqa: S704  # hash of our own text


def _breakable(name: str) -> Markup:
    """A path that may wrap after its separators."""
    return Markup(str(escape(name)).replace("/", "/<wbr>").replace("_", "_<wbr>"))  # noqa: S704  # escaped before


def _number(value: float) -> str:
    return f"{value:.0f}" if abs(value - round(value)) < 1e-9 else f"{value:.1f}"
