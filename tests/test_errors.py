"""What is hidden of an address, and what is left of it."""

import io
import logging
import sys

import pytest

from src.cli.terminal import Formatter, Guarded
from src.errors import escape_html, printable_lines, redact


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("http://host:5000/path", "http://host:5000/path"),
        ("http://user:secret@host:5000/path", "http://user:***@host:5000/path"),
        ("postgresql://user:secret@host/db?sslmode=require", "postgresql://user:***@host/db?sslmode=require"),
        ("postgresql+psycopg://user:se/cr:e@t@host/db", "postgresql+psycopg://user:***@host/db"),
        ("postgresql://user@/db?host=/run/x", "postgresql://user@/db?host=/run/x"),
        ("postgresql://host/db?user=u&password=secret", "postgresql://host/db?user=***&password=***"),
        ("https://secret@host", "https://***@host"),
        ("https://secret:@host", "https://***@host"),
        ("https://user:s%65cret@host", "https://user:***@host"),
        ("https://user:se'cr\"et@host", "https://user:***@host"),
        ("https://host/mlflow?token=secret", "https://host/mlflow?token=***"),
        ("https://host/?secret", "https://host/?***"),
        ("https://host/#access_token=secret&x=secret", "https://host/#access_token=***&x=***"),
        ("first http://a:secret@b, then HTTPS://c:secret@d.", "first http://a:***@b, then HTTPS://c:***@d."),
        ("sqlite:////home/a:b@c/#1?/runs.db", "sqlite:////home/a:b@c/#1?/runs.db"),
        ("a/b@c and 3:4", "a/b@c and 3:4"),
    ],
)
def test_passwords_and_tokens_are_hidden(text: str, expected: str) -> None:
    assert redact(text) == expected
    assert redact(redact(text)) == redact(text)


def test_control_characters_are_escaped() -> None:
    name = "a\x1b]0;owned\x07\x9b31m\u202eb\udcff\r\nc\td"
    assert printable_lines(name) == "a\\x1b]0;owned\\x07\\x9b31m\\u202eb\\xff\\r\nc\td"
    assert escape_html("<\x1b>") == "&lt;\\x1b&gt;"


def test_a_guarded_stream_shows_neither() -> None:
    raw = io.BytesIO()
    stream = Guarded(raw, "utf8", write_through=True)
    stream.write("\rbar \x1b[2J http://user:secret@host\n")
    assert raw.getvalue() == b"\rbar \\x1b[2J http://user:***@host\n"


def test_a_log_line_shows_neither_in_its_traceback() -> None:
    try:
        raise ValueError("http://user:secret@host \x1b[2J")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "x", 1, "%s", ("\x1b",), sys.exc_info())
    text = Formatter("%(message)s").format(record)
    assert "secret" not in text
    assert "\x1b" not in text
    assert "http://user:***@host" in text
