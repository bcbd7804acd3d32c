"""Convert frozen dataclasses to JSON values and back: the one codec of the project.

Reading refuses unknown keys, missing keys and values of a wrong type. The message holds the path of
the key, so that a manifest written by hand fails with its reason.
"""

from __future__ import annotations

import dataclasses
import enum
import functools
import types
import typing
from typing import Any, TypeVar

from bharsdk.errors import IncompatibleError, InputError
from bharsdk.files.untrusted import reading

__all__ = ["KEY", "check_version", "from_json_dict", "to_json_dict"]

T = TypeVar("T")

MAX_INTEGER = 2**63 - 1
"""Larger ones overflow in numpy and in C++, wherever they end up."""
MAX_SHOWN = 60
"""Signs of a value or key from the file in a message."""
KEY = "key"
"""In the metadata of a field: its JSON key, where files of 0.1.0 have another name for it."""


def check_version(data: object, expected: int, where: str, remedy: str) -> None:
    """Check the ``format_version`` of a JSON object before anything else in it.

    Another version may give the other keys another meaning. Raises IncompatibleError, naming
    ``where`` and the ``remedy``, when it is missing or not ``expected``.
    """
    version = data.get("format_version") if isinstance(data, dict) else None
    if isinstance(version, bool) or version != expected:
        raise IncompatibleError(
            f"{where}: got format version {_shown(version)}, expected {expected}: {remedy}"
        )


def to_json_dict(config: Any, *, defaults: bool = True) -> dict[str, Any]:
    """Return a dataclass instance as a dictionary of JSON values.

    An optional value that is None is left out, so older versions can read a file that does not use
    it. defaults: False leaves out every value that is at its default.
    """
    values = {f: getattr(config, f.name) for f in dataclasses.fields(config)}
    return {
        f.metadata.get(KEY, f.name): _encode(value, defaults=defaults)
        for f, value in values.items()
        if value != f.default or (defaults and value is not None)
    }


def from_json_dict(cls: type[T], data: object, where: str) -> T:
    """Build the dataclass ``cls`` from ``data``, a decoded JSON object.

    ``where`` names the place in messages, for example ``"manifest.json: features"``. Raises
    InputError on unknown or missing keys, on values of a wrong type, and on values that
    ``cls.__post_init__`` refuses. Other errors of bharsdk pass through.
    """
    if not isinstance(data, dict):
        raise InputError(f"{where}: got {type(data).__name__}, expected an object")
    fields = _fields_of(cls)  # type: ignore[arg-type]
    unknown = sorted(set(data) - set(fields))
    if unknown:
        raise InputError(f"{where}: unknown key {_shown(unknown[0])}, expected {sorted(fields)}")
    values: dict[str, Any] = {}
    for key, (name, hint, is_required) in fields.items():
        if key in data:
            values[name] = _decode(hint, data[key], f"{where}.{key}")
        elif is_required:
            raise InputError(f"{where}: key {key!r} is missing")
    with reading(where, expected="values that fit together"):
        return cls(**values)


@functools.cache
def _fields_of(cls: type[Any]) -> dict[str, tuple[str, Any, bool]]:
    """Key -> field, type, whether it is required. Kept: a session may hold 50,000 events."""
    hints = typing.get_type_hints(cls)
    return {
        field.metadata.get(KEY, field.name): (
            field.name,
            hints[field.name],
            field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING,
        )
        for field in dataclasses.fields(cls)
        if field.init
    }


@functools.cache
def _parts_of(hint: Any) -> tuple[Any, tuple[Any, ...]]:
    return typing.get_origin(hint), typing.get_args(hint)


def _shown(value: object) -> str:
    """``value`` in a message: one line, not all of what may be megabytes."""
    if isinstance(value, str):
        return repr(value[:MAX_SHOWN])
    if isinstance(value, int | float | None):
        # Python refuses to print integers of thousands of digits.
        return str(value) if not _is_huge(value) else "a huge number"
    return f"a value of type {type(value).__name__}"


def _is_huge(value: object) -> bool:
    return isinstance(value, int) and abs(value) > MAX_INTEGER


def _encode(value: Any, *, defaults: bool) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    if dataclasses.is_dataclass(value):
        return to_json_dict(value, defaults=defaults)
    if isinstance(value, dict):
        return {str(key): _encode(item, defaults=defaults) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encode(item, defaults=defaults) for item in value]
    return value


def _decode(hint: Any, value: object, where: str) -> Any:
    origin, args = _parts_of(hint)
    if hint is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        if value is None and type(None) in args:
            return None
        inner = [arg for arg in args if arg is not type(None)]
        return _decode(_member(inner, value), value, where)
    if origin is tuple:
        return _decode_tuple(args, value, where)
    if origin is dict:
        if not isinstance(value, dict):
            raise InputError(f"{where}: got {type(value).__name__}, expected an object")
        return {k: _decode(args[1], v, f"{where}.{_shown(k)[1:-1]}") for k, v in value.items()}
    if isinstance(hint, type):
        return _decode_scalar(hint, value, where)
    raise InputError(f"{where}: got {type(value).__name__}, expected {hint}")


def _member(hints: list[Any], value: object) -> Any:
    """Of several dataclasses, the one that has all the keys of ``value``; else the first."""
    for hint in hints:
        names = set(_fields_of(hint)) if len(hints) > 1 else set()
        if isinstance(value, dict) and set(value) <= names:
            return hint
    return hints[0]


def _decode_tuple(args: tuple[Any, ...], value: object, where: str) -> tuple[Any, ...]:
    if not isinstance(value, list | tuple):
        raise InputError(f"{where}: got {type(value).__name__}, expected a list")
    if len(args) == 2 and args[1] is Ellipsis:
        return tuple(_decode(args[0], v, f"{where}[{i}]") for i, v in enumerate(value))
    if len(value) != len(args):
        raise InputError(f"{where}: got {len(value)} values, expected {len(args)}")
    return tuple(
        _decode(arg, v, f"{where}[{i}]") for i, (arg, v) in enumerate(zip(args, value, strict=True))
    )


def _decode_scalar(hint: type, value: object, where: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return from_json_dict(hint, value, where)
    if issubclass(hint, enum.Enum):
        allowed = [member.value for member in hint]
        # By its type too: 1.0 and True are equal to 1.
        if not any(type(value) is type(item) and value == item for item in allowed):
            raise InputError(f"{where}: got {_shown(value)}, expected one of {allowed}")
        return hint(value)
    if isinstance(value, int) and hint in (int, float) and _is_huge(value):
        raise InputError(f"{where}: got a huge number, expected at most {MAX_INTEGER}")
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    # bool is an int in Python; a true where a count belongs is a mistake, not a 1.
    if not isinstance(value, hint) or (hint is not bool and isinstance(value, bool)):
        raise InputError(f"{where}: got {type(value).__name__}, expected {hint.__name__}")
    return value
