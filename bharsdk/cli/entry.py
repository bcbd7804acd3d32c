"""Begin every command so that Ctrl-C ends it in one line, also while modules are imported.

The scripts ``bhar``, ``bhar-train`` and ``bhar-export`` import their ``cli`` package before
anything can catch Ctrl-C. So that package imports this module alone, and this module imports next
to nothing. An exception is no way out of an import: numpy turns it into ImportError, other compiled
modules end the process, and some Python code swallows it. So Ctrl-C ends the process itself until
the work begins.
"""

from __future__ import annotations

import os
import sys

TYPE_CHECKING = False  # as of typing, which would have to be imported for it
if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["INTERRUPTED", "enter", "preload"]

INTERRUPTED = 130
"""Ctrl-C, as shells count it."""


def enter(program: str, begin: Callable[[], Callable[[], int]]) -> int:
    """Return the exit code of the work that ``begin`` returns; 130 after Ctrl-C.

    begin: imports what is needed and reads the command line, and opens nothing.
    """
    try:
        stop_ending = _ended_by_interrupt(program)
        try:
            work = begin()
        finally:
            stop_ending()
        return work()
    except KeyboardInterrupt:
        print(f"{program}: interrupted", file=sys.stderr)
        return INTERRUPTED


def preload(*modules: str) -> None:
    """Import what the work needs. A missing module is reported by the code that uses it."""
    from importlib import import_module

    for name in modules:
        try:
            import_module(name)
        except Exception:  # told, with its exit code, when it is imported again
            return


def _ended_by_interrupt(program: str) -> Callable[[], None]:
    """From now on Ctrl-C ends the process, until the returned function is called."""
    import signal

    line = f"{program}: interrupted\n".encode()

    def end(number: int, frame: object) -> None:
        os.write(2, line)
        os._exit(INTERRUPTED)

    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        return lambda: None  # ignored in the background of a script, or somebody else's
    try:
        signal.signal(signal.SIGINT, end)
    except ValueError:  # not in the main thread, which alone hears it
        return lambda: None

    def hand_over() -> None:
        signal.signal(signal.SIGINT, signal.default_int_handler)

    return hand_over
