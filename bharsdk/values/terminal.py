"""Print text from outside as text: it cannot move the cursor, recolor or rename the terminal.

A file name, a label, a model card or a message of another library may hold escape sequences. A
terminal obeys them: they hide lines, imitate a prompt, or write to the clipboard. So everything
from outside is printed through :func:`printable`.
"""

from __future__ import annotations

import unicodedata
from typing import IO, Any

__all__ = ["PlainText", "one_line", "printable", "say"]

KEPT = "\n\t"
HIDDEN = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Control and format characters (of these, some turn the direction of text around), halves of
surrogate pairs, and the separators that some terminals take for a new line. (Unicode, table 12)"""
JOINERS = "\u200c\u200d"
"""Format characters that words of some scripts, and some emoji, are written with."""


def printable(text: object) -> str:
    """Return ``text`` with every character that a terminal obeys written out.

    The escape character becomes a backslash, x and 1b. New lines and tabs stay. The result can be
    encoded as UTF-8.
    """
    plain = str(text)
    if plain.isprintable():
        return plain
    return "".join(sign if _is_plain(sign) else _escaped(sign) for sign in plain)


def one_line(text: object) -> str:
    """Return :func:`printable` text with new lines and tabs written out too."""
    plain = printable(text)
    return (
        plain
        if plain.isprintable()
        else "".join(_escaped(sign) if sign in KEPT else sign for sign in plain)
    )


def say(text: object, *, file: IO[str] | None = None, flush: bool = False) -> None:
    """Print one :func:`printable` text and a new line, to stdout by default."""
    print(printable(text), file=file, flush=flush)


class PlainText:
    """A text file that writes :func:`printable` text into another file."""

    def __init__(self, file: IO[str]) -> None:
        self._file = file

    def write(self, text: str) -> int:
        """Write ``text`` and return its length."""
        self._file.write(printable(text))
        return len(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)


def _is_plain(sign: str) -> bool:
    return sign in KEPT or sign in JOINERS or unicodedata.category(sign) not in HIDDEN


def _escaped(sign: str) -> str:
    return sign.encode("unicode_escape").decode("ascii")
