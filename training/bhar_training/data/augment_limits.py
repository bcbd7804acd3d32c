"""What an augmentation's strength may be: refused when it is set, not after hours of training."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import fields
from math import isfinite
from typing import TYPE_CHECKING

from bharsdk.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["check_strengths"]


def check_strengths(config: DataclassInstance, parts: Collection[str]) -> None:
    """Raise UsageError unless every number of ``config`` is finite and 0 or more.

    parts: names of those that are shares or probabilities, up to 1.
    """
    for field in fields(config):
        value = getattr(config, field.name)
        if not isinstance(value, int | float):
            continue
        part = field.name in parts
        if not isfinite(value) or value < 0 or (part and value > 1):
            expected = "0 to 1" if part else "a number, 0 or more"
            raise UsageError(f"augmentation: got {field.name} {value:g}, expected {expected}")
