"""All reports as one HTML page that needs nothing beside it."""

import base64
import re
from collections.abc import Sequence
from pathlib import Path

from src.errors import escape_html as escape
from src.report.document import Picture, Report, Source, Table

_STYLE = Path(__file__).resolve().parent / "page.css"
_TAGS = (
    ("good", re.compile(r"supported|reproduced|higher")),
    ("bad", re.compile(r"contradicted|not reproduced|lower|error|no number: see errors")),
    ("open", re.compile(r"undecided|missing|no verdict: .*|too few clips(, .*)?|disagrees: .*")),
    ("mark", re.compile(r"rendered|recorded|recorded and rendered|tie|stand-in")),
)
_LONG = 34  # characters from which a column may wrap


def page(reports: Sequence[Report], title: str, lead: Sequence[str], missing: Sequence[str]) -> str:
    """The page.

    Args:
        lead: paragraphs below the title. missing: commands that make every run that is missing anywhere.
    """
    links = "".join(f'<li><a href="#{report.name}">{escape(report.title)}</a></li>' for report in reports)
    sections = "\n".join(_section(report) for report in reports)
    asked = _commands("What is missing, and the commands that make it", missing) if missing else ""
    paragraphs = "".join(f'<p class="lead">{escape(text)}</p>' for text in lead)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>\n{_STYLE.read_text('utf8')}</style>\n</head>\n<body>\n"
        f"<header><h1>{escape(title)}</h1>{paragraphs}{asked}</header>\n<nav><ul>{links}</ul></nav>\n"
        f"<main>\n{sections}\n</main>\n"
        "<footer>The paper: Shtern, Ejaz, Tzerpos. Transfer Learning in Neural Networks: An Experience Report. CASCON "
        "2017.</footer>\n</body>\n</html>\n"
    )


def _section(report: Report) -> str:
    parts = [f'<section id="{report.name}"><h2>{escape(report.title)}</h2>']
    parts += [_picture(picture) for picture in report.pictures]
    parts += [_table(table) for table in report.tables]
    if report.errors:
        parts.append('<h3>Errors</h3><ul class="errors">' + _items(report.errors) + "</ul>")
    if report.notes:
        parts.append('<ul class="notes">' + _items(report.notes) + "</ul>")
    if report.missing:
        parts.append(_commands("Missing runs", report.missing))
    if any(source.runs for source in report.sources):
        parts.append(_runs(report.sources))
    return "\n".join((*parts, "</section>"))


def _table(table: Table) -> str:
    kinds = [_kind(table, column) for column in range(len(table.header))]
    head = "".join(f'<th class="{kind}">{escape(cell)}</th>' for kind, cell in zip(kinds, table.header, strict=True))
    rows = (
        "<tr>" + "".join(f'<td class="{k}">{_cell(c)}</td>' for k, c in zip(kinds, row, strict=True)) + "</tr>"
        for row in table.rows
    )
    notes = "".join(f'<p class="note">{escape(note)}</p>' for note in table.notes)
    body = "\n".join(rows)
    return (
        f'<h3>{escape(table.title)}</h3><div class="scroll"><table><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div>{notes}"
    )


def _kind(table: Table, column: int) -> str:
    longest = max((len(row[column]) for row in table.rows), default=0)
    if longest > _LONG:
        return "long"
    return "word" if table.is_words(column) else "number"


def _cell(text: str) -> str:
    for name, pattern in _TAGS:
        if pattern.fullmatch(text):
            return f'<span class="tag {name}">{escape(text)}</span>'
    return escape(text)


def _picture(picture: Picture) -> str:
    content = base64.b64encode(picture.png).decode("ascii")
    told = " ".join(escape(note) for note in picture.notes)
    return (
        f'<figure><img alt="{escape(picture.alt)}" src="data:image/png;base64,{content}">'
        f"<figcaption>{told}</figcaption></figure>"
    )


def _commands(heading: str, lines: Sequence[str]) -> str:
    body = "\n".join(escape(line) for line in lines)
    count = f"{len(lines)} command{'s' * (len(lines) > 1)}"
    return f"<details><summary>{escape(heading)} ({count})</summary><pre><code>{body}</code></pre></details>"


def _runs(sources: Sequence[Source]) -> str:
    rows = []
    for source in sources:
        for seed, run, accuracy, commit in source.runs:
            cells = (source.cell, str(seed), f"{100 * accuracy:.2f}", run, commit[:8], source.origin, source.made_by)
            rows.append("<tr>" + "".join(f'<td class="word">{escape(cell)}</td>' for cell in cells) + "</tr>")
    titles = ("cell", "seed", "accuracy, %", "MLflow run", "commit", "audio", "made by")
    head = "".join(f'<th class="word">{title}</th>' for title in titles)
    body = "\n".join(rows)
    return (
        f"<details><summary>The {len(rows)} runs behind these numbers</summary>"
        f'<div class="scroll"><table class="runs"><thead><tr>{head}</tr></thead>\n'
        f"<tbody>\n{body}\n</tbody></table></div></details>"
    )


def _items(lines: Sequence[str]) -> str:
    return "".join(f"<li>{escape(line)}</li>" for line in lines)
