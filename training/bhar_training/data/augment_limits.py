"""Check the strength of augmentations when they are set, not after hours of training."""

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
    """Raise UsageError unless every number of ``config`` is finite and at least 0.

    parts: names of fields that are shares or probabilities, at most 1.
    """
    for field in fields(config):
        value = getattr(config, field.name)
        if not isinstance(value, int | float):
            continue
        part = field.name in parts
        if not isfinite(value) or value < 0 or (part and value > 1):
            expected = "0 to 1" if part else "a number, 0 or more"
            raise UsageError(f"augmentation: got {field.name} {value:g}, expected {expected}")
