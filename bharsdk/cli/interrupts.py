"""Delay signals until an import has ended.

An exception that a signal raises inside an import may be lost, become an ImportError, or end the
process. So the handler of the signal is called when the import is done.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType

__all__ = ["raised_outside_imports"]

AGAIN_AFTER_S = 0.05
IMPORTING = "<frozen importlib"
"""Where the code of every import says that it comes from."""


class _Later:
    """Calls ``handler``, but never while the main thread is importing below ``base``."""

    def __init__(self, handler: Callable[[int, FrameType | None], object], base: FrameType) -> None:
        self._handler, self._base = handler, base
        self._timer: threading.Timer | None = None

    def __call__(self, number: int, frame: FrameType | None) -> None:
        if not self._is_importing(frame):
            self._handler(number, frame)
            return
        self.cancel()
        self._timer = threading.Timer(AGAIN_AFTER_S, os.kill, (os.getpid(), number))
        self._timer.daemon = True
        self._timer.start()

    def cancel(self) -> None:
        """Forget a signal that waits."""
        if self._timer is not None:
            self._timer.cancel()

    def _is_importing(self, frame: FrameType | None) -> bool:
        while frame is not None and frame is not self._base:
            if frame.f_code.co_filename.startswith(IMPORTING):
                return True
            frame = frame.f_back
        return False


@contextlib.contextmanager
def raised_outside_imports() -> Iterator[None]:
    """Call the handlers of SIGINT and SIGTERM only when no import is under way.

    The handlers stay as they are. Outside of the main thread this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    base = sys._getframe(2)  # whoever enters the block, which may itself be imported by somebody
    later: dict[int, tuple[_Later, Callable[[int, FrameType | None], object]]] = {}
    for number in (signal.SIGINT, signal.SIGTERM):
        handler = signal.getsignal(number)
        if callable(handler):
            later[number] = _Later(handler, base), handler
            signal.signal(number, later[number][0])
    try:
        yield
    finally:
        for heard, (ours, handler) in later.items():
            ours.cancel()
            if signal.getsignal(heard) is ours:
                signal.signal(heard, handler)
