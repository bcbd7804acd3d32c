"""Numbers as the command lines take them: read strictly, and held to the range of their field.

Whatever is no such number raises ValueError, ``got ..., expected ...``: also nan, infinity where
there can be none, ``1e400`` and integers of any length.
"""

from __future__ import annotations

import math

from bharsdk.values.declared import Range

__all__ = ["THREADS", "real", "shown", "whole"]

MAX_WHOLE = 2**31 - 1
"""Of whole numbers whose field declares no limit."""
MAX_DIGITS = 20
"""Python itself refuses to read integers of thousands of digits."""
THREADS = Range(1, 1024)
"""Threads, processes or devices."""


def whole(text: str, limits: Range) -> int:
    """Return the whole number that ``text`` is. Raises ValueError outside of ``limits``."""
    if math.isinf(limits.most):
        limits = Range(limits.least, MAX_WHOLE, limits.unit, limits.above, limits.below)
    fits = text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS
    if not fits or int(text) not in limits:
        raise ValueError(f"got {shown(text)}, expected {limits.told('a whole number')}")
    return int(text)


def real(text: str, limits: Range) -> float:
    """Return the number that ``text`` is. Raises ValueError outside of ``limits``."""
    value = _number(text)
    if value not in limits:
        raise ValueError(f"got {shown(text)}, expected {limits.told('a number')}")
    return value


def shown(text: str) -> str:
    """Return ``text`` in quotes, and not all of it where it is long."""
    return repr(text if len(text) <= 40 else f"{text[:40]}...")


def _number(text: str) -> float:
    """NaN where ``text`` is none, which is in no range; ``1e400`` is no infinity."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return math.nan if math.isinf(value) and "inf" not in text.lower() else value
