"""Lists of names on command lines: ``A,B``, given once or again and again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bharsdk.errors import BharError, InputError, UsageError
from bharsdk.values.labels import check_label

__all__ = ["chosen", "label", "names", "some_text", "split"]


def some_text(text: str) -> str:
    """Return ``text``. Raises ValueError where there is none."""
    if not text.strip():
        raise ValueError(f"got {text!r}, expected a name")
    return text


def names(text: str) -> tuple[str, ...]:
    """Return the names between commas. Raises ValueError on an empty one, or one that is twice."""
    found = tuple(name.strip() for name in text.split(","))
    if not all(found) or len(set(found)) < len(found):
        raise ValueError(f"got {text!r}, expected names separated by commas, none empty or twice")
    return found


def label(text: str) -> str:
    """Return a new label. Raises ValueError if it cannot be one (:mod:`bharsdk.values.labels`)."""
    try:
        return check_label(text, "label")
    except InputError as error:
        raise ValueError(str(error).partition(": ")[2]) from None


def split(option: str, given: Iterable[str], known: Sequence[str]) -> tuple[str, ...]:
    """Return the names in the texts ``given`` with ``option``, each once.

    A text that is known as a whole is one name; any other is names separated by commas. Bundles of
    version 0.1.0 may know labels with a comma. Raises UsageError on an empty name.
    """
    found: dict[str, None] = {}
    for text in given:
        for name in (text,) if text in known else text.split(","):
            stripped = name if name in known else name.strip()
            if not stripped:
                raise UsageError(f"{option}: got {text!r}, expected names separated by commas")
            found[stripped] = None
    return tuple(found)


def chosen(
    option: str,
    given: Iterable[str],
    known: Sequence[str],
    error: type[BharError] = InputError,
) -> tuple[str, ...]:
    """Return the names of ``known`` that the texts ``given`` with ``option`` choose.

    They are split as :func:`split` does. Raises UsageError on an empty name, ``error`` on an
    unknown one.
    """
    found = split(option, given, known)
    unknown = [name for name in found if name not in known]
    if unknown:
        raise error(f"{option}: got {unknown[0]!r}, expected some of {', '.join(known) or 'none'}")
    return found
