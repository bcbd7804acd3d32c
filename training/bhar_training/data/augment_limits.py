"""What the strength of an augmentation may be.

It is refused when it is set, not after hours of training.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

from bharsdk.errors import UsageError
from bharsdk.values.declared import Range, check_ranges

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["RADIANS", "SECONDS", "SHARE", "STRENGTH", "check_strengths"]

SHARE = Range(0, 1)
"""Of parts and probabilities."""
STRENGTH = Range(0, inf, below=True)
"""Of everything else: any number from 0 on, and no infinity."""
SECONDS, RADIANS = (Range(0, inf, unit, below=True) for unit in ("seconds", "radians"))
"""The same, of times and angles."""


def check_strengths(config: DataclassInstance) -> None:
    """Raise UsageError unless every number of ``config`` is in the range that its field declares.

    Fields declare :data:`SHARE`, :data:`STRENGTH`, :data:`SECONDS` or :data:`RADIANS`.
    """
    check_ranges(config, "augmentation", UsageError)
