"""Every report by name: the experiments whose cells it needs, and what it makes of them."""

from collections.abc import Callable
from dataclasses import dataclass

from src.report import (
    bars,
    claims,
    compare,
    controls,
    followup,
    pictures,
    reference,
    table1,
    table2,
    table3,
    table4,
    variance,
)
from src.report.clip_loader import ClipLoader
from src.report.document import Report
from src.report.scored_cells import ScoredCells

PAPER = "paper"
"""All of them but `compare`, and a page."""


@dataclass(frozen=True)
class ReportDefinition:
    """How a report is made.

    Attributes:
        experiments: files of conf/experiment; an empty name is the person's own sweep.
    """

    experiments: tuple[str, ...]
    build: Callable[[ScoredCells, ClipLoader], Report]


def _from_runs(experiments: tuple[str, ...], build: Callable[[ScoredCells], Report]) -> ReportDefinition:
    return ReportDefinition(experiments, lambda desk, _: build(desk))


def _drawn(build: Callable[[ClipLoader], Report]) -> ReportDefinition:
    return ReportDefinition((), lambda _, studio: build(studio))


def _bars(name: str, condition: str) -> ReportDefinition:
    return ReportDefinition(tuple(bars.EXPERIMENTS), lambda desk, _: bars.bars(desk, name, condition))


RECIPES = {
    "table1": _from_runs(table1.EXPERIMENTS, table1.table1),
    "figure1": _drawn(pictures.figure1),
    "figure2": _drawn(pictures.figure2),
    "figure3": _drawn(pictures.figure3),
    "table2": _from_runs(tuple(table2.EXPERIMENTS), table2.table2),
    "figure4": _bars("figure4", "unprocessed"),
    "figure5": _bars("figure5", "normalized"),
    "figure6": _drawn(pictures.figure6),
    "table3": _from_runs((table3.EXPERIMENT,), table3.table3),
    "followup": _from_runs(followup.EXPERIMENTS, followup.followup),
    "figure7": _drawn(pictures.figure7),
    "table4": _from_runs(table1.EXPERIMENTS, table4.table4),
    "claims": _from_runs(claims.EXPERIMENTS, claims.claims),
    "controls": _from_runs(controls.EXPERIMENTS, controls.controls),
    "reference": _from_runs(reference.EXPERIMENTS, reference.reference),
    "variance": _from_runs((variance.EXPERIMENT,), variance.variance),
    "compare": _from_runs(("",), compare.compare),
}
NAMES = (*RECIPES, PAPER)


def parts(name: str) -> list[str]:
    """The reports that a name stands for."""
    return [key for key in RECIPES if key != "compare"] if name == PAPER else [name]
