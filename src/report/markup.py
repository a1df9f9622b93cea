"""A report as text, Markdown and CSV."""

import csv
import io

from src.errors import printable_lines
from src.evaluation.text_table import text_table
from src.report.document import Report, Source, Table

_MARKDOWN = str.maketrans({c: f"\\{c}" for c in "\\`*_{}[]<>|#~$"} | {"\n": " ", "\r": " "})
_COMMAND = "python "


def text(report: Report) -> str:
    """For a terminal."""
    parts = [report.title, "=" * len(report.title)]
    for table in report.tables:
        parts += ["", table.title, text_table(table.header, table.rows), *table.notes]
    for heading, lines in _ends(report):
        parts += ["", heading, *(line if line.startswith(_COMMAND) else f"- {line}" for line in lines)]
    return "\n".join(parts)


def markdown(report: Report) -> str:
    """With the runs behind each cell at the end."""
    parts = [f"# {escape_markdown(report.title)}"]
    for table in report.tables:
        parts += [f"## {escape_markdown(table.title)}", _markdown_table(table)]
        parts += [escape_markdown(note) for note in table.notes]
    for picture in report.pictures:
        parts += [f"## {escape_markdown(picture.title)}", f"![{escape_markdown(picture.alt)}]({picture.key}.png)"]
        parts += [escape_markdown(note) for note in picture.notes]
    for heading, lines in _ends(report):
        code = lines[0].startswith(_COMMAND)
        body = ["```", *lines, "```"] if code else [f"- {escape_markdown(line)}" for line in lines]
        parts += [f"## {heading}", "\n".join(body)]
    if report.sources:
        parts += ["## Runs", "\n".join(f"- {escape_markdown(line)}" for line in map(source_text, report.sources))]
    return "\n\n".join(parts) + "\n"


def csv_text(table: Table) -> str:
    """The table's data: a column for every name that occurs in it."""
    names = list(dict.fromkeys(name for row in table.data for name in row))
    stream = io.StringIO()
    writer = csv.DictWriter(stream, names, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(dict(row) for row in table.data)
    return stream.getvalue()


def source_text(source: Source) -> str:
    """A cell's runs on one line."""
    runs = ", ".join(
        f"{run} (seed {seed}, {100 * value:.2f} %, {commit[:8]})" for seed, run, value, commit in source.runs
    )
    return f"{source.cell} [{source.origin}, {source.made_by}]: {runs}" if runs else f"{source.cell}: none"


def escape_markdown(words: str) -> str:
    """Text that Markdown shows as it is, also in a table."""
    return printable_lines(words.translate(_MARKDOWN))


def _ends(report: Report) -> list[tuple[str, tuple[str, ...]]]:
    """What stands below the tables, by heading."""
    count = len(report.missing)
    ends = [
        ("Notes", report.notes),
        ("Errors", report.errors),
        (f"Missing runs: {count} command{'s' * (count > 1)} will make them", report.missing),
    ]
    return [(heading, lines) for heading, lines in ends if lines]


def _markdown_table(table: Table) -> str:
    rule = [":--" if table.is_words(i) else "--:" for i in range(len(table.header))]
    rows = ([escape_markdown(cell) for cell in row] for row in (table.header, *table.rows))
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    lines.insert(1, "| " + " | ".join(rule) + " |")
    return "\n".join(lines)
