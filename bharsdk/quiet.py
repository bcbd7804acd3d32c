"""C++ libraries write to the process's outputs past Python: sent to nowhere for a moment."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator

__all__ = ["STDERR", "STDOUT", "quiet_outputs"]

STDOUT, STDERR = 1, 2

_LOCK = threading.Lock()
_USERS: dict[int, int] = {}
"""Blocks that keep a descriptor quiet now: those of several threads overlap in any order."""
_SAVED: dict[int, int] = {}
"""Where a quiet descriptor leads otherwise. The first block keeps it, and the last restores it."""


@contextlib.contextmanager
def quiet_outputs(*descriptors: int) -> Iterator[None]:
    """Send file ``descriptors`` to nowhere.

    Concerns the whole process, so keep the block short; Python errors raised inside still arrive.
    For any number of threads.
    """
    with contextlib.ExitStack() as restored:
        for descriptor in descriptors:
            with contextlib.suppress(OSError, ValueError, AttributeError):
                {STDOUT: sys.stdout, STDERR: sys.stderr}[descriptor].flush()
            try:
                _silence(descriptor)
            except OSError:  # there is none: nothing to silence
                continue
            restored.callback(_restore, descriptor)
        yield


def _silence(descriptor: int) -> None:
    with _LOCK:
        if not _USERS.get(descriptor):
            saved = os.dup(descriptor)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
            _SAVED[descriptor] = saved
        _USERS[descriptor] = _USERS.get(descriptor, 0) + 1


def _restore(descriptor: int) -> None:
    with _LOCK:
        _USERS[descriptor] -= 1
        if not _USERS[descriptor]:
            saved = _SAVED.pop(descriptor)
            os.dup2(saved, descriptor)
            os.close(saved)
