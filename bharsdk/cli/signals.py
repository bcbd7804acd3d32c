"""Treat SIGTERM and SIGHUP as Ctrl-C.

systemd and containers stop a process by SIGTERM, and a closing terminal sends SIGHUP. Each raises
KeyboardInterrupt in the main thread, so recordings and videos are closed.
"""

from __future__ import annotations

import contextlib
import math
import signal
import threading
import time
from collections.abc import Iterator
from types import FrameType

__all__ = ["stopped_by_signals"]

BURST_S = 10.0
"""Signals that follow the first so closely ask for the same stop: a supervisor sends several, and
an impatient person presses twice. What is being closed meanwhile is closed to its end."""
DEFAULTS = (signal.SIG_DFL, signal.default_int_handler)


class _Stop:
    """A handler that raises KeyboardInterrupt once for each burst of signals."""

    def __init__(self) -> None:
        self._raised_s = -math.inf

    def __call__(self, number: int, frame: FrameType | None) -> None:
        now_s = time.monotonic()
        if now_s - self._raised_s >= BURST_S:
            self._raised_s = now_s
            raise KeyboardInterrupt


@contextlib.contextmanager
def stopped_by_signals() -> Iterator[None]:
    """End this block by KeyboardInterrupt at SIGINT, SIGTERM and SIGHUP.

    A signal that is ignored stays ignored (nohup, the background of a script). A signal that other
    code handles stays with it. Outside of the main thread this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stop, before = _Stop(), {}
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)  # Windows has no SIGHUP
        if number is None:
            continue
        handler = signal.getsignal(number)
        if handler in DEFAULTS or isinstance(handler, _Stop):
            before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
