"""Make reports: cells from the store, tables from cells, files from tables."""

import logging
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from src.data.writing import write_asked
from src.errors import UserError
from src.report import markup
from src.report import scored_cells as desks
from src.report.clip_loader import ClipLoader
from src.report.definitions import NAMES, PAPER, RECIPES, parts
from src.report.document import Report, listed
from src.report.latex import latex
from src.report.overrides import Typed, wanted
from src.report.page import page
from src.report.run_selector import RunSelector
from src.report.scored_cells import ScoredCells
from src.tracking.expected_cell import ExpectedCell
from src.tracking.store import Store

log = logging.getLogger(__name__)
ACTIONS = ("show", "missing", "run")
_INTERRUPTED = (130, 143)


@dataclass(frozen=True)
class Request:
    """What was asked for.

    Attributes:
        name: of a report. action: one of ACTIONS. folder: where files are written.
        resample_seed: of random permutations. typed: overrides for every run. studio: draws clips.
    """

    name: str
    action: str
    folder: Path
    resample_seed: int
    typed: Typed
    studio: ClipLoader

    def __post_init__(self) -> None:
        if self.name not in NAMES:
            raise UserError(f"name: got {self.name!r}; expected one of {', '.join(NAMES)}")
        if self.action not in ACTIONS:
            raise UserError(f"action: got {self.action!r}; expected one of {', '.join(ACTIONS)}")


@dataclass(frozen=True, eq=False)
class Made:
    """Reports, and what all of them lack.

    Attributes:
        missing: commands that make the missing runs.
    """

    reports: tuple[Report, ...]
    missing: tuple[str, ...]
    desk: ScoredCells


def make(request: Request, open_store: Callable[[], Store]) -> bool:
    """Do what was asked and say so; whether nothing failed.

    Raises:
        UserError: a setting, or the place to write to.
    """
    asked = list(dict.fromkeys(name for part in parts(request.name) for name in RECIPES[part].experiments))
    cells = [one for experiment in asked for one in wanted(experiment, request.typed)]
    if asked and not cells:
        raise UserError(f"{request.name}: has no cell with {' '.join(_typed(request.typed))}")
    well = True
    if request.action != "show":
        missing = _missing(request, cells, open_store())
        if request.action == "missing":
            _say("\n".join(missing) or f"{request.name}: nothing is missing")
            return True
        well = _run(missing)
    made = _made(request, cells, open_store())
    files = _write(made, request)
    shown = [markup.text(report) for report in made.reports] if request.name != PAPER else [_summary(made)]
    _say("\n\n".join(shown) + "\n\nWritten: " + ", ".join(map(str, files)))
    return well and not any(report.errors for report in made.reports)


def _typed(typed: Typed) -> list[str]:
    return [*typed.fixed.values(), *(f"{key}={','.join(values)}" for key, values in typed.swept.items())]


def _missing(request: Request, cells: Sequence[ExpectedCell], store: Store) -> tuple[str, ...]:
    """Commands for one report are its own: table 1 needs less than all its cells."""
    if request.name == PAPER:
        return desks.missing(RunSelector(store).cells(cells))
    return _made(request, cells, store).missing


def _made(request: Request, cells: Sequence[ExpectedCell], store: Store) -> Made:
    desk = ScoredCells(RunSelector(store).cells(cells), request.resample_seed)
    reports = tuple(_report(name, desk, request.studio) for name in parts(request.name))
    missing = desks.missing(desk.cells) if request.name == PAPER else reports[0].missing
    return Made(reports, missing, desk)


def _report(name: str, desk: ScoredCells, studio: ClipLoader) -> Report:
    """A report; a figure whose audio is not to be had says so and stops no other."""
    try:
        return RECIPES[name].build(desk, studio)
    except UserError as error:
        return Report(name, name.replace("figure", "Figure ").replace("table", "Table "), errors=(str(error),))


def _run(commands: Sequence[str]) -> bool:
    """Run the commands one after the other, each to its end whatever became of the others."""
    well = True
    for number, command in enumerate(commands, start=1):
        _say(f"[{number}/{len(commands)}] {command}")
        done = subprocess.run([sys.executable, *shlex.split(command)[1:]], check=False)
        if done.returncode in _INTERRUPTED:
            raise KeyboardInterrupt
        well = well and done.returncode == 0
    return well


def _write(made: Made, request: Request) -> list[Path]:
    """NAME.md, NAME.tex, a CSV per table and a PNG per figure; of the whole paper the page comes first.

    Raises:
        UserError: the folder cannot be written to.
    """
    content: dict[str, bytes] = {}
    if request.name == PAPER:
        title = "What a network that knows photographs makes of sounds"
        lead = _summary(made).split("\n")
        content["paper.html"] = page(made.reports, title, lead, made.missing).encode()
    for report in made.reports:
        content |= files_of(report)
    write_asked(f"folder={request.folder}", {request.folder / name: body for name, body in content.items()})
    names = list(content) if request.name != PAPER else list(content)[:1]
    return [request.folder / name for name in names]


def files_of(report: Report) -> dict[str, bytes]:
    """A report's files by name."""
    content = {f"{report.name}.md": markup.markdown(report).encode()}
    if report.tables:
        content[f"{report.name}.tex"] = latex(report).encode()
    for table in report.tables:
        content["-".join(filter(None, (report.name, table.key))) + ".csv"] = markup.csv_text(table).encode()
    return content | {f"{picture.key}.png": picture.png for picture in report.pictures}


def _summary(made: Made) -> str:
    """How complete the reports are, and what they rest on."""
    cells = list(made.desk.cells)
    whole = sum(not cell.missing and not cell.error for cell in cells)
    runs = len({run.run_id for cell in cells for run in cell.runs})
    origins = Counter(cell.origin for cell in cells if cell.origin)
    audio = listed([f"{count} {origin}" for origin, count in sorted(origins.items())]) if origins else "none"
    networks = sorted({f"{r.tags['backbone']} ({r.tags['weights']})" for c in cells if c.wanted.auto for r in c.runs})
    lines = [f"{whole} of {len(cells)} cells are complete, from {runs} finished runs. Cells by their audio: {audio}."]
    if networks:
        lines.append(f"Networks: {listed(networks)}.")
    if made.missing:
        shown = f"{len(made.missing)} command{'s' * (len(made.missing) > 1)}"
        lines.append(f"{len(cells) - whole} cells lack runs; {shown} will make them (action=missing, action=run).")
    errors = [f"{report.name}: {error}" for report in made.reports for error in report.errors]
    return "\n".join((*lines, *(f"Error in {error}" for error in errors)))


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
