"""Text that may be shown and stored: without passwords, and without characters that command a terminal."""

import html
import re

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>\S*)")
_PIECE = re.compile(r"(?P<mark>[?&;#])(?P<name>[^=?&;#]*)(?P<equals>=?)(?P<value>[^?&;#]*)")
# Settings of a connection that are no secrets; the value of any other is hidden.
_OPEN_SETTINGS = {"host", "port", "dbname", "sslmode", "connect_timeout", "timeout", "application_name"}
_HIDDEN = "***"
# C0 and C1 without tab and newline, separators of lines, overrides of the direction of text, lone surrogates.
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def redact(text: str) -> str:
    """Hide passwords and tokens of every URL in a text.

    In doubt more is hidden: everything before the last @ counts as user and password, since a password may hold any
    character, and of a query only the values of settings that are known to be harmless are left.
    """
    return _URL.sub(_redacted, text) if "://" in text else text


def escape_controls(text: str, *, carriage_return: bool = False) -> str:
    r"""Write control characters as `\x1b`, so that a name cannot move the cursor or hide what it says.

    Args:
        text: any text; tabs and newlines stay.
        carriage_return: whether carriage returns stay as well; progress bars use them.
    """
    return _CONTROL.sub(lambda found: found[0] if carriage_return and found[0] == "\r" else _escaped(found[0]), text)


def has_controls(text: str) -> bool:
    """Whether a text holds characters that `escape_controls` would change."""
    return _CONTROL.search(text) is not None


def escape_html(text: str) -> str:
    """A text as a page shows it, control characters escaped."""
    return html.escape(escape_controls(text))


def _redacted(url: re.Match[str]) -> str:
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


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
