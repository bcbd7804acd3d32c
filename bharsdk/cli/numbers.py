"""Numbers as the commands of bharsdk, training and export take them: types for argparse.

Whatever is no such number ends in an argparse error, exit code 2: also nan, infinity where there
can be none, ``1e400`` and integers of any length.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable

__all__ = [
    "fps",
    "natural",
    "part",
    "positive",
    "rate",
    "real",
    "seconds",
    "share",
    "threads",
    "whole",
]

MAX_WHOLE = 2**31 - 1
MAX_DIGITS = 20
"""Python itself refuses to read integers of thousands of digits."""


def whole(least: int, most: int = MAX_WHOLE) -> Callable[[str], int]:
    """Return the type of whole numbers from ``least`` to ``most``."""

    def read(text: str) -> int:
        fits = text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS
        if not fits or not least <= int(text) <= most:
            raise _refused(text, f"a whole number from {least} to {most}")
        return int(text)

    return read


def real(
    least: float, most: float, what: str, *, above: bool = False, below: bool = False
) -> Callable[[str], float]:
    """Return the type of numbers from ``least`` to ``most``, which ``what`` names.

    above, below: the first, or the last, is left out.
    """

    def read(text: str) -> float:
        value = _number(text)
        low = value > least if above else value >= least
        if not (low and (value < most if below else value <= most)):
            raise _refused(text, what)
        return value

    return read


natural = whole(0)
positive = whole(1)
threads = whole(1, 1024)
"""Threads, processes or devices."""
part = real(0, 1, "a part above 0, up to 1", above=True)
share = real(0, 1, "a number from 0 to 1")
seconds = real(0, math.inf, "seconds, 0 or more")
"""``inf`` is for ever."""
rate = real(0, math.inf, "a number above 0", above=True, below=True)
fps = real(0, 1000, "frames a second, above 0, up to 1000", above=True)


def _number(text: str) -> float:
    """NaN where ``text`` is none, which no comparison lets pass; ``1e400`` is no infinity."""
    try:
        value = float(text)
    except ValueError:
        return math.nan
    return math.nan if math.isinf(value) and "inf" not in text.lower() else value


def _refused(text: str, expected: str) -> argparse.ArgumentTypeError:
    shown = text if len(text) <= 40 else f"{text[:40]}..."
    return argparse.ArgumentTypeError(f"got {shown!r}, expected {expected}")
