"""The error whose message is written for the user, and text that can be written anywhere."""

import os
import re

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
