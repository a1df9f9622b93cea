"""A report as LaTeX: booktabs tables that fit a landscape page, to be included in a document."""

import textwrap

from src.errors import printable_lines
from src.report.document import Report, Table
from src.report.markup import source_text
from src.tracking.naming import one_line

_SPECIAL = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", '"': r"\textquotedbl{}", "±": r"$\pm$", "−": r"$-$", "–": "--", "×": r"$\times$",
    "≥": r"$\geq$", "≤": r"$\leq$", "\n": " ", "\r": " ",
}  # fmt: skip
_NEEDS = (
    "% needs \\usepackage{array,booktabs,longtable}, \\usepackage[T1]{fontenc}, and a landscape page for wide tables"
)
_LINE = 200  # characters of 7 pt that fit a landscape A4 page
_CHARACTER = 1.25  # mm of such a character
_WRAPPED = 36  # a column with longer cells than this is a paragraph
_GAP = 2  # characters between columns


def latex(report: Report) -> str:
    """Its tables; what is missing and which runs they come from stands in comments."""
    parts = [f"% {one_line(report.title)}", _NEEDS]
    for table in report.tables:
        parts += ["", r"{\scriptsize\setlength{\tabcolsep}{3pt}", _table(table)]
        parts += [escape(note) + r"\par" for note in table.notes]
        parts += ["}"]
    parts += ["{\\scriptsize " + escape(note) + "\\par}" for note in report.notes]
    parts += [f"% missing: {one_line(command)}" for command in report.missing]
    parts += [f"% error: {one_line(error)}" for error in report.errors]
    parts += [f"% runs: {one_line(source_text(source))}" for source in report.sources]
    return "\n".join(parts) + "\n"


def escape(words: str) -> str:
    """Text that LaTeX shows as it is."""
    return "".join(_SPECIAL.get(character, character) for character in printable_lines(words))


def _table(table: Table) -> str:
    widths = [max((len(row[i]) for row in table.rows), default=0) for i in range(len(table.header))]
    columns = _columns(table, widths)
    words = (table.is_words(i) for i in range(len(widths)))
    head = " & ".join(_heading(*heading) for heading in zip(table.header, widths, words, strict=True))
    rows = (" & ".join(escape(cell) for cell in row) + r" \\" for row in table.rows)
    return "\n".join(
        (
            rf"\begin{{longtable}}{{{columns}}}",
            rf"\caption{{{escape(table.title)}}}\\",
            r"\toprule", head + r" \\", r"\midrule", r"\endfirsthead",
            r"\toprule", head + r" \\", r"\midrule", r"\endhead",
            r"\bottomrule", r"\endlastfoot",
            *rows,
            r"\end{longtable}",
        )
    )  # fmt: skip


def _columns(table: Table, widths: list[int]) -> str:
    """Left, right, or a paragraph: those share what the others leave of the line, each by its longest cell."""
    long = [i for i, width in enumerate(widths) if width > _WRAPPED]
    taken = sum(max(width, _word(table.header[i])) + _GAP for i, width in enumerate(widths) if i not in long)
    left = max(_LINE - taken - _GAP * len(long), 12 * len(long))
    shares = {i: min(widths[i], left * widths[i] / sum(widths[j] for j in long)) for i in long}
    plain = ("l" if table.is_words(i) else "r" for i in range(len(widths)))
    return "".join(
        rf">{{\raggedright\arraybackslash}}p{{{shares[i] * _CHARACTER:.0f}mm}}" if i in shares else letter
        for i, letter in enumerate(plain)
    )


def _heading(title: str, width: int, word: bool) -> str:
    lines = textwrap.wrap(title, max(width, _word(title), 6)) or [""]
    body = r"\\".join(escape(line) for line in lines)
    return rf"\shortstack[{'l' if word else 'r'}]{{{body}}}" if len(lines) > 1 else body


def _word(title: str) -> int:
    return max((len(word) for word in title.split()), default=0)
