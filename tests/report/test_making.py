import csv
import io
import shlex

import numpy as np
import pytest

from src.errors import UserError
from src.report import making
from src.report.clip_loader import ClipLoader
from src.report.making import Request, make
from src.report.overrides import Typed


@pytest.fixture
def asked(tmp_path):
    """`asked(name, *overrides, action=)`: a request whose files land in tmp_path/reports."""

    def made(name: str, *overrides: str, action: str = "show") -> Request:
        return Request(name, action, tmp_path / "reports", 0, Typed.of(overrides), NoStudio())

    return made


class NoStudio(ClipLoader):
    """There is no audio."""

    def __init__(self) -> None:
        super().__init__(Typed(), 1, lambda _: None)
        self.shown = self._refuse

    def _refuse(self, dataset: str, condition: str) -> None:
        raise UserError(f"{dataset}: not here")


def read(path):
    return list(csv.DictReader(io.StringIO(path.read_text("utf8"), newline="")))


def test_a_report_is_printed_and_written(shelf, cells, asked, tmp_path, capsys):
    wanted = cells("table2_network", "dataset=composer")
    for one in wanted:
        shelf.add(one, 0, np.arange(40) < 30)
    assert make(asked("table2", "dataset=composer", "seed=0"), lambda: shelf.store)
    text = capsys.readouterr().out
    assert "75.0" in text and "Missing runs: 1 command" in text and "Written: " in text
    names = {path.name for path in (tmp_path / "reports").iterdir()}
    stems = ("table2", "table2-wide", "table2-comparisons", "table2-beyond")
    assert names == {"table2.md", "table2.tex", *(f"{stem}.csv" for stem in stems)}
    rows = read(tmp_path / "reports" / "table2.csv")
    assert [row["accuracy"] for row in rows] == ["75.0"] * 3 + [""] * 3
    assert rows[0]["run_ids"] == shelf.added[wanted[0].name, 0]


def test_missing_prints_commands_alone(shelf, asked, tmp_path, capsys):
    request = asked("table2", "dataset=composer", "preprocess=normalized", "seed=0", action="missing")
    assert make(request, lambda: shelf.store)
    start = "python -m src.train -m experiment=table2_"
    rest = "dataset=composer preprocess=normalized seed=0"
    assert capsys.readouterr().out.splitlines() == [f"{start}network {rest}", f"{start}baseline {rest}"]
    assert not (tmp_path / "reports").exists()


def test_nothing_missing_says_so(shelf, cells, asked, capsys):
    (one,) = cells("table3", "dataset=ballroom2")
    shelf.add(one, 0, np.ones(10, dtype=bool))
    assert make(asked("table3", "dataset=ballroom2", "seed=0", action="missing"), lambda: shelf.store)
    assert capsys.readouterr().out == "table3: nothing is missing\n"


def test_run_runs_what_is_missing_and_reports_then(shelf, cells, asked, monkeypatch, capsys):
    (one,) = cells("table3", "dataset=ballroom2")
    ran = []

    class Done:
        returncode = 0

    def run(words, check):
        assert not check
        ran.append(words)
        shelf.add(one, 0, np.ones(10, dtype=bool))
        return Done()

    monkeypatch.setattr(making.subprocess, "run", run)
    assert make(asked("table3", "dataset=ballroom2", "seed=0", action="run"), lambda: shelf.store)
    (words,) = ran
    line = "-m src.train -m experiment=table3 dataset=ballroom2 preprocess=normalized seed=0"
    assert words[1:] == shlex.split(line)
    assert "100.0" in capsys.readouterr().out
    monkeypatch.setattr(Done, "returncode", 1)
    assert not make(asked("table3", "dataset=ballroom2", "seed=0,1", action="run"), lambda: shelf.store)
    monkeypatch.setattr(Done, "returncode", 130)
    with pytest.raises(KeyboardInterrupt):
        make(asked("table3", "dataset=ballroom2", "seed=0,2", action="run"), lambda: shelf.store)


def test_the_paper_is_a_page_whatever_is_missing(shelf, cells, asked, tmp_path, monkeypatch, capsys):
    (one,) = cells("table3", "dataset=ballroom2")
    shelf.add(one, 0, np.ones(10, dtype=bool))
    monkeypatch.setattr(making, "parts", lambda _: ["table3", "figure1"])
    assert not make(asked("paper", "dataset=ballroom2"), lambda: shelf.store), "a figure has no audio"
    text = capsys.readouterr().out
    assert "0 of 1 cells are complete, from 1 finished runs. Cells by their audio: 1 rendered." in text
    assert "Error in figure1: composer: not here" in text
    page = (tmp_path / "reports" / "paper.html").read_text("utf8")
    assert shelf.added[one.name, 0] in page and "composer: not here" in page
    assert "seed=1,2,3,4" in page
    assert (tmp_path / "reports" / "table3.csv").is_file()
    assert (tmp_path / "reports" / "paper.html").stat().st_mode & 0o777 == 0o644


def test_errors_are_not_passed_over(shelf, cells, asked):
    (one,) = cells("table3", "dataset=ballroom2")
    shelf.add(one, 0, np.ones(10, dtype=bool), accuracy=0.1)
    assert not make(asked("table3", "dataset=ballroom2", "seed=0"), lambda: shelf.store)


def test_unknown_names_and_places_are_refused(shelf, asked, tmp_path):
    with pytest.raises(UserError, match=r"name: got 'table9'; expected one of table1, "):
        asked("table9")
    with pytest.raises(UserError, match=r"action: got 'go'; expected one of show, missing, run"):
        asked("table3", action="go")
    with pytest.raises(UserError, match=r"table3: has no cell with dataset=composer seed=0,1"):
        make(asked("table3", "dataset=composer", "seed=0,1"), lambda: shelf.store)
    (tmp_path / "reports").write_text("a file")
    with pytest.raises(UserError, match=r"folder=.*reports: cannot be written \("):
        make(asked("table3", "dataset=ballroom2", "seed=0"), lambda: shelf.store)


@pytest.mark.slow
def test_a_persons_own_sweep_is_run_and_compared(run_train, write_clips, tiny, tmp_path):
    """As typed: two conditions and two seeds on a folder of the person's own; what was run is not missing then."""
    write_clips(tmp_path / "mine", ["low", "high"], 10)
    words = ["name=compare", "dataset=folder", f"dataset.root={tmp_path / 'mine'}"]
    sweep = ["preprocess=unprocessed,normalized", "seed=0,1"]
    done = run_train([*words, *sweep, *tiny, "action=run"], tmp_path, "src.report")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("[1/1] python -m src.train -m") == 1
    assert "preprocess: normalized − unprocessed" in done.stdout and "Missing runs" not in done.stdout
    rows = read(tmp_path / "reports" / "compare.csv")
    assert [(row["preprocess"], row["seeds"], row["audio"]) for row in rows] == [
        ("unprocessed", "0 1", "recorded"),
        ("normalized", "0 1", "recorded"),
    ]
