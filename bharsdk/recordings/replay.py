"""Run recorded landmarks one after another, without threads."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from bharsdk.events import DropCause
from bharsdk.landmarks.frame import Frame
from bharsdk.pipeline.backpressure import FrameCounts, FrameLedger
from bharsdk.pipeline.frame_handler import FrameHandler
from bharsdk.pipeline.stages import Delivery
from bharsdk.pipeline.time_guard import TimeGuard
from bharsdk.process.closeable import CLOSE_S
from bharsdk.recognition.results import Result

__all__ = ["Replay"]


class Replay:
    """Recorded landmarks through a frame handler, in the thread of the consumer.

    Frames whose time does not increase are dropped and counted. It iterates as a pipeline does, and
    any thread may close it. interrupt: ends a wait for the next frame, where that is possible.
    """

    is_live = False

    def __init__(
        self,
        frames: Iterator[Frame],
        recognition: FrameHandler,
        close: Callable[[], None] = lambda: None,
        interrupt: Callable[[], None] = lambda: None,
    ) -> None:
        self._frames, self._recognition = frames, recognition
        self._close, self._interrupt = close, interrupt
        self._ledger, self._guard = FrameLedger(), TimeGuard()
        self._lock = threading.RLock()  # held while a frame is handled, never while one is awaited
        self._is_finished = self._is_reading = False

    @property
    def counts(self) -> FrameCounts:
        """Return what became of the frames so far."""
        return self._ledger.counts

    def __iter__(self) -> Replay:
        return self

    def __next__(self) -> Delivery[Result]:
        while True:
            frame = self._read()
            with self._lock:
                if self._is_finished:
                    raise StopIteration
                if frame is None:
                    self._is_finished = True
                    last = self._recognition.finish()
                    break
                number = self._ledger.capture()
                time_ms = self._guard.admit(frame.timestamp_ms)
                if time_ms is None:
                    self._ledger.drop(DropCause.TIMESTAMP)
                    continue
                result = self._recognition.handle(frame.at(time_ms, number))
                return Delivery(result, 0.0, self._ledger.deliver())
        self.close()
        if last is None:
            raise StopIteration
        return Delivery(last, 0.0, {})

    def close(self, within_s: float = CLOSE_S) -> None:
        """Finish the recording and close the source. A second call does nothing.

        A thread that waits for a frame closes the source when it returns.
        """
        try:
            with self._lock:
                self._finish()
        finally:
            self._interrupt()
            if not self._is_reading:  # else whoever reads closes the source when it returns
                self._release()

    def _finish(self) -> None:
        if self._is_finished:
            self._recognition.close()
            return
        self._is_finished = True
        try:
            self._recognition.finish()
        finally:
            self._recognition.close()

    def _read(self) -> Frame | None:
        """The next frame; None: there is none, or it was closed."""
        with self._lock:
            if self._is_finished:
                return None
            self._is_reading = True
        try:
            return next(self._frames, None)
        finally:
            self._end_reading()

    def _end_reading(self) -> None:
        with self._lock:
            self._is_reading = False
            is_finished = self._is_finished
        if is_finished:  # by another thread, meanwhile
            self._release()

    def _release(self) -> None:
        with self._lock:
            close, self._close = self._close, _nothing
        close()


def _nothing() -> None: ...
