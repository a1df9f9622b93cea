"""Text that may be shown and stored: without passwords, and without characters that command a terminal."""

import html
import re

from src.errors import printable

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>\S*)")
_PIECE = re.compile(r"(?P<mark>[?&;#])(?P<name>[^=?&;#]*)(?P<equals>=?)(?P<value>[^?&;#]*)")
# Settings of a connection that are no secrets; the value of any other is hidden.
_OPEN_SETTINGS = {"host", "port", "dbname", "sslmode", "connect_timeout", "timeout", "application_name"}
_FILES = {"file", "sqlite"}  # paths on this disk, which may hold any character
_HIDDEN = "***"


def redact(text: str) -> str:
    """Hide passwords and tokens of every URL in a text.

    In doubt more is hidden: everything before the last @ counts as user and password, since a password may hold any
    character, and of a query only the values of settings that are known to be harmless are left.
    """
    return _URL.sub(_redacted, text) if "://" in text else text


def printable_lines(text: str, *, kept: str = "\n\t") -> str:
    """A text of several lines with its control characters escaped, but for those in `kept`."""
    return re.sub(f"[^{kept}]+", lambda part: printable(part[0]), text)


def escape_html(text: str) -> str:
    """A text as a page shows it: markup and control characters escaped."""
    return html.escape(printable_lines(text))


def _redacted(url: re.Match[str]) -> str:
    if url["scheme"].lower() in _FILES:
        return url[0]
    user, at, place = url["rest"].rpartition("@")
    if at:
        name, colon, password = user.partition(":")
        if password:
            user = f"{name}:{_HIDDEN}"
        elif colon or url["scheme"].lower().startswith("http"):
            user = _HIDDEN  # a token; without a colon it is the user's name for a database, and stays
    return f"{url['scheme']}://{user}{at}{_PIECE.sub(_redacted_piece, place)}"


def _redacted_piece(piece: re.Match[str]) -> str:
    if not piece["equals"]:
        return piece["mark"] + (_HIDDEN if piece["name"] else "")
    return piece[0] if piece["name"].lower() in _OPEN_SETTINGS else f"{piece['mark']}{piece['name']}={_HIDDEN}"
