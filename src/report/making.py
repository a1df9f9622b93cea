"""Make reports: cells from the store, tables from cells, files from tables."""

import logging
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.data.index import write_atomically
from src.errors import UserError
from src.report import claims, controls, followup, markup, reference, table1, table3, table4, variance
from src.report.asked import Typed, wanted
from src.report.cell import Resampling
from src.report.compare import compare
from src.report.desk import Desk
from src.report.document import Report
from src.report.library import Library
from src.report.table2 import EXPERIMENTS as TABLE2
from src.report.table2 import table2
from src.report.wanted import Wanted
from src.tracking import Store

log = logging.getLogger(__name__)
ACTIONS = ("show", "missing", "run")


@dataclass(frozen=True)
class Recipe:
    """How a report is made: the experiments whose cells it needs, and what it makes of them."""

    experiments: tuple[str, ...]
    build: Callable[[Desk], Report]


RECIPES = {
    "table1": Recipe(table1.EXPERIMENTS, table1.table1),
    "table2": Recipe(tuple(TABLE2), table2),
    "table3": Recipe((table3.EXPERIMENT,), table3.table3),
    "table4": Recipe(table1.EXPERIMENTS, table4.table4),
    "followup": Recipe(followup.EXPERIMENTS, followup.followup),
    "claims": Recipe(claims.EXPERIMENTS, claims.claims),
    "controls": Recipe(controls.EXPERIMENTS, controls.controls),
    "variance": Recipe((variance.EXPERIMENT,), variance.variance),
    "reference": Recipe(reference.EXPERIMENTS, reference.reference),
    "compare": Recipe(("",), compare),
}


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        name: of a report. action: one of ACTIONS. folder: where files are written. typed: overrides for every run.
    """

    name: str
    action: str
    folder: Path
    resampling: Resampling
    typed: Typed

    def __post_init__(self) -> None:
        if self.name not in RECIPES:
            raise UserError(f"name: got {self.name!r}; expected one of {', '.join(RECIPES)}")
        if self.action not in ACTIONS:
            raise UserError(f"action: got {self.action!r}; expected one of {', '.join(ACTIONS)}")


def make(request: Request, open_store: Callable[[], Store]) -> bool:
    """Do what was asked and say so; whether nothing failed.

    Raises:
        UserError: a setting, or the place to write to.
    """
    recipe = RECIPES[request.name]
    cells_wanted = [one for experiment in recipe.experiments for one in wanted(experiment, request.typed)]
    report = _built(recipe, cells_wanted, request, open_store())
    if request.action == "missing":
        _say("\n".join(report.missing) or f"{request.name}: nothing is missing")
        return True
    well = True
    if request.action == "run" and report.missing:
        well = _run(report.missing)
        report = _built(recipe, cells_wanted, request, open_store())
    files = write(report, request.folder)
    _say(markup.text(report) + "\n\nWritten: " + ", ".join(str(file) for file in files))
    return well and not report.errors


def _built(recipe: Recipe, cells: Sequence[Wanted], request: Request, store: Store) -> Report:
    return recipe.build(Desk(Library(store).cells(cells), request.resampling))


def _run(commands: Sequence[str]) -> bool:
    """Run the commands one after the other, each to its end whatever became of the others."""
    well = True
    for number, command in enumerate(commands, start=1):
        _say(f"[{number}/{len(commands)}] {command}")
        done = subprocess.run([sys.executable, *shlex.split(command)[1:]], check=False)
        well = well and done.returncode == 0
        if done.returncode in (130, 143):
            raise KeyboardInterrupt
    return well


def write(report: Report, folder: Path) -> list[Path]:
    """NAME.md, NAME.tex, a CSV per table and a PNG per figure.

    Raises:
        UserError: the folder cannot be written to.
    """
    content = {f"{report.name}.md": markup.markdown(report).encode()}
    if report.tables:
        content[f"{report.name}.tex"] = markup.latex(report).encode()
    for table in report.tables:
        content["-".join(filter(None, (report.name, table.key))) + ".csv"] = markup.csv_text(table).encode()
    content |= {f"{picture.key}.png": picture.png for picture in report.pictures}
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, body in content.items():
            write_atomically(folder / name, body)
    except OSError as error:
        raise UserError(f"folder={folder}: cannot be written to ({error.strerror})") from error
    return [folder / name for name in content]


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
