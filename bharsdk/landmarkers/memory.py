"""Return memory that a graph frees to the system, not to the C library.

The graph of MediaPipe frees some 100 MB in its threads. glibc keeps what a thread freed for the
heap of that thread. Graphs opened and closed one after another would leave twice the memory of one.
"""

from __future__ import annotations

import contextlib
import ctypes
import threading
from collections.abc import Iterator
from typing import Any

__all__ = ["memory_returned"]

TRIM_THRESHOLD = -1
"""``M_TRIM_THRESHOLD`` of glibc's ``malloc.h``."""
CLOSING_BYTES, USUAL_BYTES = 128 << 10, 32 << 20
"""How much may stay free at the top of a heap while a graph closes, and afterwards: glibc's own
value at first, and the order that it grows to by itself in a process with such graphs."""

_LOCK = threading.Lock()
_CLOSING = 0
"""Graphs that are closing now, in any thread."""


@contextlib.contextmanager
def memory_returned() -> Iterator[None]:
    """Return to the system what is freed in this block; do nothing without glibc."""
    glibc = _glibc()
    if glibc is None:
        yield
        return
    _count(glibc, +1)
    try:
        yield
    finally:
        glibc.malloc_trim(0)  # the holes
        _count(glibc, -1)


def _count(glibc: Any, change: int) -> None:
    global _CLOSING
    with _LOCK:
        _CLOSING += change
        glibc.mallopt(TRIM_THRESHOLD, CLOSING_BYTES if _CLOSING else USUAL_BYTES)


def _glibc() -> Any:
    """The C library of the process, if it has what is needed: not musl, macOS or Windows."""
    try:
        process = ctypes.CDLL(None)
        for name in ("gnu_get_libc_version", "mallopt", "malloc_trim"):
            getattr(process, name)
    except (AttributeError, OSError, TypeError):
        return None
    return process
