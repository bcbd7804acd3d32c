"""Check what callers pass against the declared types.

A configuration calls :func:`check_fields` first in its ``__post_init__``. A function calls
:func:`typed` for each argument. The code after it only checks ranges. An integer passes as a float.
A bool is no number, and text is no list. Numbers of numpy become Python's, and lists become tuples.
"""

from __future__ import annotations

import dataclasses
import enum
import math
import types
import typing
from functools import cache
from numbers import Integral, Real
from os import PathLike, fspath
from pathlib import Path
from typing import Any

from bharsdk.errors import InputError
from bharsdk.values.brief import text_of

__all__ = ["as_path", "check_fields", "typed"]


class _RefusedError(Exception):
    """Not of the type."""


def check_fields(config: Any, where: str) -> None:
    """Convert every field of a frozen dataclass to its declared type.

    where: begins the message, for example ``"options"``. Raises InputError on a value of another
    type.
    """
    for name, hint in _hints(config.__class__).items():
        value = getattr(config, name)
        kept = typed(hint, value, f"{where}: got {name}")
        if kept is not value:
            object.__setattr__(config, name, kept)


def typed(hint: Any, value: object, what: str) -> Any:
    """Return ``value`` as ``hint``: a class, an enum, ``tuple[X, ...]`` or a union of these.

    what: begins the message, for example ``"enroll: got known"``. Raises InputError on another
    type.
    """
    try:
        return _fitted(hint, value)
    except _RefusedError:
        raise InputError(
            f"{what} {text_of(value)} of type {type(value).__name__}, expected {_told(hint)}"
        ) from None


def as_path(value: object, what: str) -> Path:
    """Return ``value``, text or a path, as a path. Raises InputError on anything else."""
    if isinstance(value, str | PathLike) and value != "":
        text = fspath(value)
        if isinstance(text, str) and "\0" not in text:
            return Path(text)
    raise InputError(f"{what} {text_of(value)} of type {type(value).__name__}, expected a path")


@cache
def _hints(kind: Any) -> dict[str, Any]:
    hints = typing.get_type_hints(kind)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _fitted(hint: Any, value: Any) -> Any:
    """``value`` as ``hint``; raises _RefusedError."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if hasattr(origin, "__value__"):  # from numpy 2.5 on, NDArray is a type alias
        return _fitted(origin.__value__[args], value)
    if hint is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        for arg in args:
            try:
                return _fitted(arg, value)
            except _RefusedError:
                continue
        raise _RefusedError
    if origin is tuple:
        return _fitted_tuple(args, value)
    if hint is type(None):
        return _if(value is None, value)
    if hint is bool:
        return bool(_if(isinstance(value, bool) or _is_numpy_bool(value), value))
    if hint in (int, float):
        return _fitted_number(hint, value)
    return _if(isinstance(value, origin or hint), value)


def _fitted_tuple(args: tuple[Any, ...], value: Any) -> tuple[Any, ...]:
    _if(isinstance(value, tuple | list | set | frozenset), value)
    if args[1:] != (Ellipsis,):
        _if(len(value) == len(args), value)
        return tuple(_fitted(arg, item) for arg, item in zip(args, value, strict=True))
    kept = tuple(_fitted(args[0], item) for item in value)
    same = isinstance(value, tuple) and all(a is b for a, b in zip(kept, value, strict=True))
    return value if same else kept


def _fitted_number(hint: type, value: Any) -> Any:
    wanted = Integral if hint is int else Real
    _if(isinstance(value, wanted) and not isinstance(value, bool), value)
    if type(value) is hint:
        return value
    try:
        return hint(value)
    except OverflowError:  # an integer that no float can hold
        return math.inf if value > 0 else -math.inf


def _is_numpy_bool(value: object) -> bool:
    return getattr(getattr(value, "dtype", None), "kind", "") == "b" and not getattr(
        value, "shape", (1,)
    )


def _if(fits: bool, value: Any) -> Any:
    if not fits:
        raise _RefusedError
    return value


def _told(hint: Any) -> str:
    """``hint`` for people."""
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin in (types.UnionType, typing.Union):
        return " or ".join(_told(arg) for arg in args)
    if origin is tuple:
        return f"a list of {_told(args[0])}"
    if isinstance(hint, type) and issubclass(hint, enum.Enum):
        return f"one of {', '.join(str(member) for member in hint)}"
    names = {float: "a number", int: "a whole number", bool: "True or False", str: "text"}
    names[type(None)] = "None"
    if hint in names:
        return names[hint]
    name = getattr(origin or hint, "__name__", str(hint))
    return f"{'an' if name[:1] in 'AEIOU' else 'a'} {name}"
