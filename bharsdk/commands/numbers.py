"""Numbers as the commands of bharsdk, training and export take them: types for argparse."""

from __future__ import annotations

import argparse
import math

__all__ = ["natural", "part", "positive", "seconds"]


def natural(text: str) -> int:
    """A whole number from 0 up."""
    return _whole(text, 0)


def positive(text: str) -> int:
    """A whole number from 1 up."""
    return _whole(text, 1)


def part(text: str) -> float:
    """A part above 0, up to 1."""
    value = _number(text)
    if not 0 < value <= 1:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a part above 0, up to 1")
    return value


def seconds(text: str) -> float:
    """Seconds, 0 or more; ``inf`` for ever."""
    value = _number(text)
    if not value >= 0:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected seconds, 0 or more")
    return value


def _whole(text: str, least: int) -> int:
    if not text.isdecimal() or int(text) < least:
        raise argparse.ArgumentTypeError(f"got {text!r}, expected a whole number from {least} up")
    return int(text)


def _number(text: str) -> float:
    """NaN where ``text`` is none, which no comparison lets pass."""
    try:
        return float(text)
    except ValueError:
        return math.nan
