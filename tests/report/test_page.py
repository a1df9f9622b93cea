import base64
import re
from html.parser import HTMLParser

from src.report.document import Picture, Report, Source, Table
from src.report.page import page

ODD = "<b>\"a\" & 'b'</b>"
EMPTY = {"meta", "img", "br", "link"}


class Reader(HTMLParser):
    """Checks that tags are balanced, and keeps attributes and text."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []
        self.text = ""

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, key, value) for key, value in attrs]
        if tag not in EMPTY:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def _page() -> str:
    cells = (("supported", "1.0"), ("not reproduced", "missing"), (ODD, "rendered"))
    table = Table("", ODD, ("verdict", "n"), cells, ({}, {}, {}), notes=(ODD,))
    source = Source("cell", "rendered", ODD, ((0, "0123abcd", 0.5, "feedbeef00"), (1, "4567", 0.75, "feedbeef00")))
    reports = (
        Report(
            "table9",
            "Table 9",
            (table,),
            notes=(ODD,),
            missing=("python -m x 'a&b'",),
            errors=(ODD,),
            sources=(source,),
        ),
        Report("figure9", "Figure 9", pictures=(Picture("figure9", "Figure 9", b"\x89PNG", ODD, (ODD,)),)),
    )
    return page(reports, ODD, [ODD], ["python -m x 'a&b'"])


def test_the_page_is_whole_and_shows_text_as_it_is():
    reader = Reader()
    reader.feed(_page())
    assert reader.open == []
    assert "<b>" not in _page()
    assert reader.text.count(ODD) >= 8, "title, heading, lead, table title, cell, notes, error, caption, made by"
    assert reader.text.count("python -m x 'a&b'") == 2


def test_the_page_needs_nothing_beside_it():
    reader = Reader()
    reader.feed(_page())
    links = [value for _, key, value in reader.attributes if key in ("src", "href")]
    assert set(links) - {"#table9", "#figure9"} == {"data:image/png;base64," + base64.b64encode(b"\x89PNG").decode()}
    assert {value for _, key, value in reader.attributes if key == "id"} == {"table9", "figure9"}
    assert not re.search(r"https?:|@import|url\(", _page())
    assert "prefers-color-scheme: dark" in _page()


def test_every_run_and_verdict_is_there():
    text = _page()
    for told in ("0123abcd", "4567", "50.00", "75.00", "feedbeef"):
        assert told in text
    assert '<span class="tag good">supported</span>' in text
    assert '<span class="tag bad">not reproduced</span>' in text
    assert '<span class="tag open">missing</span>' in text and '<span class="tag mark">rendered</span>' in text
