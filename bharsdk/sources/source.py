"""Frames in time order, whatever they come from."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bharsdk.landmarks.frame import Frame
from bharsdk.process.closeable import Closing, close_aside
from bharsdk.values.brief import brief

__all__ = ["Source"]


class Source(Closing):
    """Frames in time order, closed at the end of a ``with`` block.

    fps: nominal frames a second; None where unknown. frame_count: how many frames the file
    announces; None for a live source, or where the file does not say. interrupt: a function that
    ends a wait for the next frame; any thread may call it.
    """

    def __init__(
        self,
        frames: Iterator[Frame],
        close: Callable[[], None] | None = None,
        *,
        fps: float | None = None,
        frame_count: int | None = None,
        interrupt: Callable[[], None] | None = None,
    ) -> None:
        self._frames = frames
        self._close = close
        self._interrupt = interrupt
        self.fps = fps
        self.frame_count = frame_count

    def __repr__(self) -> str:
        return brief(self, fps=self.fps, frame_count=self.frame_count)

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    def interrupt(self) -> None:
        """End a wait for the next frame soon, where the source can. Any thread may call it."""
        if self._interrupt is not None:
            self._interrupt()

    def close(self) -> None:
        """Release the camera or file. A second call does nothing.

        Ends within a second: ``close`` is left behind, with a warning, if it takes longer.
        """
        self.interrupt()
        close, self._close = self._close, None
        if close is not None:
            close_aside(close, "the source")
