"""Silence C++ libraries for a moment: they write to the process's outputs past Python.

What Python itself writes to stderr meanwhile, in any thread, still arrives. So a warning about one
camera is not lost while another one opens.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Iterator
from typing import TextIO

__all__ = ["STDERR", "STDOUT", "quiet_outputs"]

STDOUT, STDERR = 1, 2

_LOCK = threading.Lock()
_USERS: dict[int, int] = {}
"""Blocks that keep a descriptor quiet now: those of several threads overlap in any order."""
_SAVED: dict[int, int] = {}
"""Where a quiet descriptor leads otherwise. The first block keeps it, and the last restores it."""
_STDERR: list[tuple[TextIO, TextIO]] = []
"""``sys.stderr`` as it was, and what stands in for it while its descriptor is quiet."""


@contextlib.contextmanager
def quiet_outputs(*descriptors: int) -> Iterator[None]:
    """Send the file ``descriptors`` to nowhere inside the block.

    Concerns the whole process, so keep the block short. Python errors pass. Threads may nest it.
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
            if descriptor == STDERR:
                _lead_stderr_past(saved)
        _USERS[descriptor] = _USERS.get(descriptor, 0) + 1


def _restore(descriptor: int) -> None:
    with _LOCK:
        _USERS[descriptor] -= 1
        if not _USERS[descriptor]:
            saved = _SAVED.pop(descriptor)
            if descriptor == STDERR:
                _lead_stderr_back()
            os.dup2(saved, descriptor)
            os.close(saved)


def _lead_stderr_past(saved: int) -> None:
    """Have ``sys.stderr`` write to ``saved``, if it writes to the descriptor that is quiet now."""
    usual = sys.stderr
    try:
        if usual is None or usual.fileno() != STDERR:
            return
    except (OSError, ValueError, AttributeError):  # no file: nothing is lost
        return
    stand_in = open(  # noqa: SIM115 - flushed and forgotten; the descriptor is the caller's
        saved,
        "w",
        encoding=usual.encoding,
        errors=usual.errors,
        buffering=1,
        closefd=False,
    )
    _STDERR.append((usual, stand_in))
    sys.stderr = stand_in


def _lead_stderr_back() -> None:
    while _STDERR:
        usual, stand_in = _STDERR.pop()
        with contextlib.suppress(OSError, ValueError):
            stand_in.flush()
        if sys.stderr is stand_in:  # else somebody else has set it meanwhile
            sys.stderr = usual
