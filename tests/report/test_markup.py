import csv
import io
import re

import pytest

from src.report import markup
from src.report.document import Report, Source, Table
from src.report.latex import latex

ODD = 'a|b_c*d `e` <f> & 50 % #1 $x$ {y} ~z^ \\w "q"\nnew, −1 ± 2'


def _report() -> Report:
    table = Table(
        "", ODD, ("name", "n"), ((ODD, "1"), ("plain", "2")), ({"name": ODD, "n": 1}, {"name": "=1+1", "m": 2.5})
    )
    source = Source("cell", "rendered", "net (w), linear", ((0, "abc", 0.5, "0123456789"),))
    return Report(
        "odd", ODD, (table,), notes=(ODD,), missing=("python -m src.train 'a b'",), errors=("e",), sources=(source,)
    )


def test_markdown_keeps_a_table_a_table():
    text = markup.markdown(_report())
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert len(rows) == 4
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 3 for row in rows), "an unescaped | would add a column"
    assert "a\\|b\\_c\\*d \\`e\\` \\<f\\>" in rows[2]
    assert "```\npython -m src.train 'a b'\n```" in text
    assert "abc (seed 0, 50.00 %, 01234567)" in text


def test_latex_escapes_every_special_character():
    body = latex(_report())
    row = next(line for line in body.splitlines() if line.startswith("a") and line.endswith("& 1 \\\\"))
    assert r"a\textbar{}b\_c*d `e` \textless{}f\textgreater{} \& 50 \% \#1 \$x\$ \{y\}" in row
    assert r"\textasciitilde{}z\textasciicircum{} \textbackslash{}w \textquotedbl{}q\textquotedbl{}" in row
    assert row.isascii()
    assert all("\n" not in line for line in body.splitlines())
    assert "% runs: cell [rendered" in body and "% missing: python -m src.train 'a b'" in body
    assert body.count(r"\begin{longtable}{") == body.count(r"\end{longtable}") == 1


def test_latex_columns_fit_the_line():
    """Short words left, numbers right, long texts share what is left of 200 characters of 1.25 mm."""
    rows = (("genre", "missing", "x" * 300, "y" * 100), ("composer", "1.0", "", ""))
    body = latex(Report("n", "t", (Table("", "t", ("dataset", "a long heading", "c", "d"), rows, ({}, {})),)))
    columns = re.search(r"\\begin\{longtable\}\{(.*)\}\n", body)[1]
    widths = [int(width) for width in re.findall(r"p\{(\d+)mm\}", columns)]
    assert columns.startswith("lr>{") and len(widths) == 2
    assert widths[0] == pytest.approx(3 * widths[1], abs=3) and 200 < sum(widths) < 250
    assert r"\shortstack[r]{a long\\heading}" in body


def test_csv_reads_back():
    rows = list(csv.DictReader(io.StringIO(markup.csv_text(_report().tables[0]), newline="")))
    assert rows == [{"name": ODD, "n": "1", "m": ""}, {"name": "=1+1", "n": "", "m": "2.5"}]


def test_text_lists_notes_errors_and_commands():
    text = markup.text(_report())
    assert "\nErrors\n- e\n" in text
    assert text.endswith("Missing runs: 1 command will make them\npython -m src.train 'a b'")
