"""Close cameras, files and threads at the end of a ``with`` block, in bounded time."""

from __future__ import annotations

import logging
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TypeVar

__all__ = ["CLOSE_S", "Closing", "Countdown", "close_aside"]

LOGGER = logging.getLogger("bharsdk")

T = TypeVar("T", bound="Closing")

CLOSE_S = 0.9
"""Closing anything waits at most this long for code of others: a source, a landmarker, a callback.
So it ends within a second. Only a recording that is being written takes the time that it takes."""


class Closing(ABC):
    """Base of what holds a file, a camera or threads. ``with`` closes it, also after an error."""

    @abstractmethod
    def close(self) -> None:
        """Release what it holds. A second call does nothing."""

    def __enter__(self: T) -> T:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


class Countdown:
    """Count down seconds by the monotonic clock."""

    def __init__(self, seconds: float) -> None:
        self._until_s = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """Return the seconds left, at least 0."""
        return max(self._until_s - time.monotonic(), 0.0)


def close_aside(close: Callable[[], object], what: str, within_s: float = CLOSE_S) -> bool:
    """Call ``close``, code of others, in its own thread; return whether it has ended.

    Waits at most ``within_s`` seconds. Then a warning names ``what`` hangs, and the thread is left
    behind. It is a daemon, so the process can end. An error that ``close`` raises in time is raised
    here.
    """
    errors: list[BaseException] = []
    work = threading.Thread(target=_close, args=(close, errors), name="bhar-close", daemon=True)
    try:
        work.start()
    except RuntimeError:  # the interpreter is going and starts no more threads
        _close(close, errors)
    else:
        work.join(within_s)
        if work.is_alive():
            LOGGER.warning(
                "close: %s has not returned in time: its thread is left behind, and ends when it"
                " returns",
                what,
            )
            return False
    if errors:
        raise errors.pop()
    return True


def _close(close: Callable[[], object], errors: list[BaseException]) -> None:
    try:
        close()
    except BaseException as error:
        errors.append(error)
    finally:
        del errors  # the error's traceback holds this frame: no cycle
