"""What a configuration says of its own fields: range, unit, help, and the option on a command line.

A field declares it once, in its type::

    hop_s: Annotated[float, Range(0, 60, "seconds"), Help("time between two runs of the model")]

:func:`check_ranges` holds every value to it, and the command line is made of it, so that no range
stands twice. ``typing.get_type_hints`` leaves the declaration out unless it is asked for.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import typing
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from bharsdk.errors import BharError, InputError

__all__ = ["Cli", "Help", "Part", "Range", "Use", "check_ranges", "declared"]

HUGE = 10**300
"""Python refuses to print integers of thousands of digits, and no float holds them."""


@dataclasses.dataclass(frozen=True)
class Range:
    """Which numbers a field takes.

    unit: what is counted, ``"seconds"``; empty for a plain number. above, below: ``least``, or
    ``most``, is not in the range itself.
    """

    least: float = -math.inf
    most: float = math.inf
    unit: str = ""
    above: bool = False
    below: bool = False

    def __contains__(self, value: float) -> bool:
        low = value > self.least if self.above else value >= self.least
        return bool(low and (value < self.most if self.below else value <= self.most))

    def told(self, noun: str = "") -> str:
        """Return the range in words: ``"0 to 1"``, ``"seconds, 0 or more"``.

        noun: names a number without a unit, ``"a whole number"``: ``"a whole number from 1 to 8"``.
        """
        least, most = _number(self.least), _number(self.most)
        if math.isinf(self.most):
            if math.isinf(self.least):
                return self.unit or noun or "a number"
            limits = f"above {least}" if self.above else f"{least} or more"
        elif self.above:
            limits = f"above {least}, " + (f"below {most}" if self.below else f"up to {most}")
        else:
            limits = f"{least} to {'below ' if self.below else ''}{most}"
        if self.unit:
            return f"{self.unit}, {limits}"
        if not noun:
            return limits
        if self.above:
            return f"{noun} {limits}"
        return f"{noun}, {limits}" if math.isinf(self.most) else f"{noun} from {limits}"


class Help(str):
    """What a field decides, for the help of its option: a few words, no full stop."""

    __slots__ = ()


class Use(enum.Enum):
    """What a command does with the file that an option names."""

    READ = "reads"
    WRITE = "writes"
    UPDATE = "updates"
    """Reads it whole, and replaces it in one step."""
    FREE = "free"
    """Reads it, and writes nothing that could be the same file."""


@dataclasses.dataclass(frozen=True)
class Cli:
    """How a field looks on a command line, where its name and type do not say it.

    names: its options, the first in the help; ``("source",)`` without hyphens is a place.
    old: spellings of the last release, which still work and warn. metavar: of its value. file: what
    is done with the file that it names. choices: the only values; hidden: more of them, which the
    help leaves out. read: makes the value, of one text; raises ValueError, "got ..., expected ...".
    whole: each text of a list is kept as it is, in place of names between commas. alone: the value
    of the option when none follows it. default: of the help, where the field's own says too little.
    skip: no option.
    """

    names: tuple[str, ...] = ()
    old: tuple[str, ...] = ()
    metavar: str = ""
    file: Use | None = None
    choices: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()
    read: Callable[[str], Any] | None = None
    whole: bool = False
    alone: str | None = None
    default: str | None = None
    skip: bool = False


@dataclasses.dataclass(frozen=True)
class Part:
    """A field that is a configuration itself: each of its fields is an option.

    title: above them in the help. of: the configuration, where the type of the field does not say
    it. prefix: begins the name of each option, ``"augment."``. overrides: the field gets a
    dictionary of what was given, and nothing else. skip: fields without an option. default: of the
    help, in place of each field's own.
    """

    title: str = ""
    of: type | None = None
    prefix: str = ""
    overrides: bool = False
    skip: tuple[str, ...] = ()
    said: Mapping[str, tuple[Any, ...]] = dataclasses.field(default_factory=dict)
    default: str | None = None


@cache
def declared(kind: Any) -> dict[str, tuple[Any, tuple[Any, ...]]]:
    """Return the type of every field of the dataclass ``kind``, and what it declares."""
    hints = typing.get_type_hints(kind, include_extras=True)
    return {field.name: _parts(hints[field.name]) for field in dataclasses.fields(kind)}


def check_ranges(config: Any, where: str, error: type[BharError] = InputError) -> None:
    """Hold every number of ``config``, a dataclass, to the range that its field declares.

    where: begins the message, ``"options"``. None is in every range; of a list, each item counts.
    Raises ``error`` on a number outside, and on NaN.
    """
    for name, (_, extras) in declared(config.__class__).items():
        for limits in extras:
            if isinstance(limits, Range):
                _check(getattr(config, name), limits, f"{where}: got {name}", error)


def _check(value: Any, limits: Range, what: str, error: type[BharError]) -> None:
    for each in value if isinstance(value, tuple | list) else (value,):
        if each is not None and each not in limits:
            raise error(f"{what} {_number(each)}, expected {limits.told()}")


def _parts(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    if typing.get_origin(hint) is typing.Annotated:
        kind, *extras = typing.get_args(hint)
        return kind, tuple(extras)
    return hint, ()


def _number(value: float) -> str:
    if isinstance(value, int) and abs(value) > 1e15:
        return f"{float(value):g}" if abs(value) < HUGE else "a huge number"
    if isinstance(value, int) or (math.isfinite(value) and value == int(value) and value < 1e15):
        return str(int(value))
    return f"{value:g}"
