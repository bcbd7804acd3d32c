"""Check labels: one rule for training, enrollment and the command line."""

from __future__ import annotations

from bharsdk.errors import InputError

__all__ = ["MAX_LABEL_LENGTH", "check_label"]

MAX_LABEL_LENGTH = 100
FORBIDDEN = ",/\\"
"""A comma separates labels on command lines, and a slash or backslash cannot be in the name of a
label's folder."""


def check_label(label: object, where: str) -> str:
    """Return ``label`` if it is a valid label.

    A label has 1 to 100 printable characters. It holds no comma, slash or backslash, begins and
    ends with no space, and does not begin with a dot. ``-`` is the usual label for "no sign".
    Raises InputError, starting with ``where``, on anything else.
    """
    if not isinstance(label, str):
        raise InputError(f"{where}: got a label of type {type(label).__name__}, expected text")
    fits = 0 < len(label) <= MAX_LABEL_LENGTH and label.isprintable() and label == label.strip()
    if not fits or label.startswith(".") or any(sign in label for sign in FORBIDDEN):
        raise InputError(
            f"{where}: got the label {label[:MAX_LABEL_LENGTH]!r}, expected 1 to"
            f" {MAX_LABEL_LENGTH} printable characters without comma, slash or backslash, no dot"
            " in front and no space at either end"
        )
    return label
