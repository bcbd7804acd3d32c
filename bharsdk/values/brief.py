"""Describe a value in one short line, for ``repr`` and for messages."""

from __future__ import annotations

import dataclasses
import enum
from typing import Any

from bharsdk.values.terminal import one_line

__all__ = ["MAX_REPR", "brief", "brief_config", "text_of"]

MAX_REPR = 200
"""Characters of a ``repr``. It is read in a debugger or a log, where arrays help nobody."""
MAX_VALUE = 100
ELLIPSIS = "..."


def brief(value: object, **facts: object) -> str:
    """Return ``Class(name=fact, ...)`` in one line of at most :data:`MAX_REPR` characters.

    value: its class is named. facts: what matters about it; a fact that is None is left out.
    """
    told = ", ".join(f"{name}={text_of(fact)}" for name, fact in facts.items() if fact is not None)
    return _cut(f"{type(value).__name__}({told})", MAX_REPR, ")")


def brief_config(config: Any) -> str:
    """Return the ``repr`` of a configuration: the fields that are not at their default."""
    fields = dataclasses.fields(config)
    values = {f.name: (f.default, getattr(config, f.name)) for f in fields}
    changed = {n: value for n, (default, value) in values.items() if value != default}
    return brief(config, **changed)


def text_of(value: object) -> str:
    """Describe ``value`` in a few words: no numbers of an array, no bytes of a file."""
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if isinstance(shape, tuple) and dtype is not None:
        return f"{value:g}" if not shape and dtype.kind == "f" else f"{dtype} {list(shape)}"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{len(value)} bytes"
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, tuple | list | set | frozenset):
        items = ", ".join(text_of(item) for item in list(value)[:4])
        whole = f"[{items}]"
        return whole if len(value) <= 4 and len(whole) <= MAX_VALUE else f"{len(value)} items"
    if isinstance(value, dict):
        return f"{len(value)} items"
    if isinstance(value, enum.Enum):
        return str(value)
    try:
        text = repr(value)
    except Exception:  # of somebody else's class; a message must not fail for it
        text = f"<{type(value).__name__}>"
    return _cut(one_line(text), MAX_VALUE, text[:1] if isinstance(value, str) else "")


def _cut(text: str, limit: int, end: str) -> str:
    if len(text) <= limit:
        return text
    return text[: limit - len(ELLIPSIS) - len(end)] + ELLIPSIS + end
