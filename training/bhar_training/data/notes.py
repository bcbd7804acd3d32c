"""Say once what reading a data set assumed and what looks odd.

Assumptions are logged at INFO and doubts as warnings, by the logger ``bhar_training.data``. Every
message begins with the name of the data set. :func:`shown` prints them for a command.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator

__all__ = ["doubt", "note", "shown"]

_LOGGER = logging.getLogger("bhar_training.data")


def note(text: str) -> None:
    """Log what was assumed."""
    _LOGGER.info("%s", text)


def doubt(text: str) -> None:
    """Log what looks wrong."""
    _LOGGER.warning("%s", text)


class _OnStderr(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        prefix = "warning: " if record.levelno >= logging.WARNING else ""
        print(f"{prefix}{record.getMessage()}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def shown(*, quiet: bool = False) -> Iterator[None]:
    """Print every note and doubt of the block on stderr, one a line; print nothing if ``quiet``."""
    handler: logging.Handler = logging.NullHandler() if quiet else _OnStderr()
    level, propagate = _LOGGER.level, _LOGGER.propagate
    _LOGGER.addHandler(handler)
    _LOGGER.setLevel(logging.INFO)
    _LOGGER.propagate = False
    try:
        yield
    finally:
        _LOGGER.removeHandler(handler)
        _LOGGER.setLevel(level)
        _LOGGER.propagate = propagate
