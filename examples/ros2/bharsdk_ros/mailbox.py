"""A queue of depth 1 between whoever receives images and the recognizer that reads them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

from bharsdk import CapturedImage, Image
from bharsdk_ros.messages import NS_PER_MS, Stamped

__all__ = ["Mailbox"]


class Mailbox:
    """Live pictures (:class:`bharsdk.sources.Pictures`) that others put in; the newest one waits.

    Remembers the header of every picture that was taken, by the number that the recognizer gives
    it, until :meth:`header_of` is asked for that one or a later one. For any number of threads.
    """

    name = "image topic"
    is_live = True
    fps: float | None = None
    frame_count: int | None = None

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._waiting: tuple[Image, Stamped] | None = None
        self._headers: dict[int, Stamped] = {}
        self._taken = 0
        self._ended = False
        self.replaced = 0

    def put(self, image: Image, header: Stamped) -> bool:
        """Leave a picture, in place of one that nobody took. Returns False once it has ended."""
        with self._changed:
            if self._ended:
                return False
            self.replaced += self._waiting is not None
            self._waiting = image, header
            self._changed.notify_all()
            return True

    def __iter__(self) -> Iterator[CapturedImage]:
        while True:
            with self._changed:
                while self._waiting is None and not self._ended:
                    self._changed.wait()
                if self._waiting is None:
                    return
                (image, header), self._waiting = self._waiting, None
                # A run numbers pictures as they come from here, those it drops included.
                self._headers[self._taken] = header
                self._taken += 1
            yield CapturedImage(image, header.stamp_ns / NS_PER_MS)

    def header_of(self, number: int) -> Stamped:
        """The header of the picture of that number; those before it are forgotten."""
        with self._changed:
            for earlier in [n for n in self._headers if n < number]:
                del self._headers[earlier]
            return self._headers[number]

    def end(self) -> None:
        """Let the reader come to its end, after the picture that waits."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def interrupt(self) -> None:
        """As :meth:`end`."""
        self.end()

    def close(self) -> None:
        """As :meth:`end`. A second call does nothing."""
        self.end()
