"""The error whose message is written for the user; text that may be shown: no passwords, no control characters."""

import html
import os
import re

_URL = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<rest>\S*)")
_PIECE = re.compile(r"(?P<mark>[?&;#])(?P<name>[^=?&;#]*)(?P<equals>=?)(?P<value>[^?&;#]*)")
# Settings of a connection that are no secrets; the value of any other is hidden.
_OPEN_SETTINGS = {"host", "port", "dbname", "sslmode", "connect_timeout", "timeout", "application_name"}
_FILES = {"file", "sqlite"}  # paths on this disk, which may hold any character
_HIDDEN = "***"


_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_FIRST_BYTE = 0xDC80
_LAST_BYTE = 0xDCFF


def printable(text: str | os.PathLike[str]) -> str:
    r"""Escape what a file, a database or a terminal cannot hold as it is, as in the name `M\xfasica.wav`.

    These are control characters, line separators, what turns the direction of writing (bidirectional overrides and
    isolates), and the bytes of a file name that is not UTF-8 (lone surrogates).
    """
    return _UNPRINTABLE.sub(lambda match: _escaped(match[0]), os.fspath(text))


def _escaped(character: str) -> str:
    code = ord(character)
    if _FIRST_BYTE <= code <= _LAST_BYTE:  # how Python holds a byte that is not UTF-8 (PEP 383)
        return f"\\x{code - _FIRST_BYTE + 0x80:02x}"
    return character.encode("unicode_escape").decode("ascii")


class UserError(Exception):
    """A mistake outside the code (a file, a setting, the network) that the user can correct.

    Entry points print its message without a traceback and exit with status 1. The message may have several lines; what
    is not printable in them is escaped.
    """

    def __init__(self, message: str) -> None:
        """Keep the message, escaped where it quotes a name that no file or terminal can hold."""
        super().__init__("\n".join(printable(line) for line in message.split("\n")))


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
