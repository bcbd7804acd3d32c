"""What an augmentation's strength may be: refused when it is set, not after hours of training."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from math import isfinite
from typing import TYPE_CHECKING

from bharsdk.errors import UsageError

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["check_strengths"]


def check_strengths(config: DataclassInstance, most: Mapping[str, float]) -> None:
    """Raise UsageError unless every number of ``config`` is finite, 0 or more, up to ``most``."""
    for field in fields(config):
        value = getattr(config, field.name)
        if not isinstance(value, int | float):
            continue
        high = most.get(field.name)
        if not isfinite(value) or value < 0 or (high is not None and value > high):
            expected = "a number, 0 or more" if high is None else f"0 to {high:g}"
            raise UsageError(f"augmentation: got {field.name} {value:g}, expected {expected}")
