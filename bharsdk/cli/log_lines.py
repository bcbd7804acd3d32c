"""Show warnings of the package in a command: one line each on stderr."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator

__all__ = ["warnings_as_lines"]

LOGGER = logging.getLogger("bharsdk")


@contextlib.contextmanager
def warnings_as_lines(program: str) -> Iterator[None]:
    """Print logged warnings and errors as ``program: warning: ...``, once each.

    While the block runs they go nowhere else: an imported library may have set up logging, which
    would print them again.
    """
    handler, propagated = _Lines(program), LOGGER.propagate
    LOGGER.addHandler(handler)
    LOGGER.propagate = False
    try:
        yield
    finally:
        LOGGER.removeHandler(handler)
        LOGGER.propagate = propagated


class _Lines(logging.Handler):
    def __init__(self, program: str) -> None:
        super().__init__(logging.WARNING)
        self._program = program

    def emit(self, record: logging.LogRecord) -> None:
        kind = "error" if record.levelno >= logging.ERROR else "warning"
        try:
            text = self.format(record)
            print(f"{self._program}: {kind}: {text}", file=sys.stderr, flush=True)
        except Exception:  # as logging's own handlers: what cannot be said ends nothing
            self.handleError(record)
