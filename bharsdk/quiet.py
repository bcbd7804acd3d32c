"""C++ libraries write to the process's outputs past Python: sent to nowhere for a moment."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator

__all__ = ["STDERR", "STDOUT", "quiet_outputs"]

STDOUT, STDERR = 1, 2


@contextlib.contextmanager
def quiet_outputs(*descriptors: int) -> Iterator[None]:
    """Send file ``descriptors`` to nowhere.

    Concerns the whole process, so keep the block short; Python errors raised inside still arrive.
    """
    with contextlib.ExitStack() as restored:
        for descriptor in descriptors:
            with contextlib.suppress(OSError, ValueError, AttributeError):
                {STDOUT: sys.stdout, STDERR: sys.stderr}[descriptor].flush()
            try:
                saved = os.dup(descriptor)
            except OSError:  # there is none: nothing to silence
                continue
            restored.callback(_restore, saved, descriptor)
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, descriptor)
            os.close(nowhere)
        yield


def _restore(saved: int, descriptor: int) -> None:
    os.dup2(saved, descriptor)
    os.close(saved)
