"""Show how far a command is, on a stderr that is a terminal, and nowhere else."""

from __future__ import annotations

import sys

from bharsdk.values.terminal import one_line

__all__ = ["ProgressLine"]


class ProgressLine:
    """One line that is written over and over; nothing where stderr is a file or a pipe."""

    def __init__(self) -> None:
        self.is_shown = sys.stderr.isatty()
        self._width = 0

    def show(self, text: str) -> None:
        """Show ``text`` in place of the line."""
        if not self.is_shown:
            return
        text = one_line(text)
        print(f"\r{text:<{self._width}}", end="", file=sys.stderr, flush=True)
        self._width = len(text)

    def clear(self) -> None:
        """Remove the line."""
        if self._width:
            print("\r" + " " * self._width + "\r", end="", file=sys.stderr, flush=True)
        self._width = 0
