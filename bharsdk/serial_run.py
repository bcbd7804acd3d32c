"""Recorded landmarks, one after another: a run without threads of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

from bharsdk.recognition import Recognition
from bharsdk.results import Result
from bharsdk.sources.backpressure import DropCause, FrameCounts, FrameLedger
from bharsdk.sources.frame import Frame
from bharsdk.sources.pictures import TimeGuard
from bharsdk.sources.stages import Delivery

__all__ = ["SerialRun"]


class SerialRun:
    """Recorded landmarks through a recognition, one after another, in the consumer's thread.

    Frames whose time does not increase are dropped and counted. Iterates as a pipeline does; any
    thread may close it.
    """

    is_live = False

    def __init__(
        self,
        frames: Iterator[Frame],
        recognition: Recognition,
        close: Callable[[], None] = lambda: None,
    ) -> None:
        self._frames, self._recognition, self._close = frames, recognition, close
        self._ledger, self._guard = FrameLedger(), TimeGuard()
        self._lock = threading.RLock()  # held while a frame is handled, never while one is awaited
        self._is_finished = self._is_reading = False

    @property
    def counts(self) -> FrameCounts:
        """What became of the frames so far."""
        return self._ledger.counts

    def __iter__(self) -> SerialRun:
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

    def close(self) -> None:
        """Finish the recording and close the source. A second call does nothing."""
        with self._lock:
            if not self._is_finished:
                self._is_finished = True
                self._recognition.finish()
            self._recognition.close()
            if not self._is_reading:  # else whoever reads closes the source when it returns
                self._release()

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
            if self._is_finished:  # by another thread, meanwhile
                self._release()

    def _release(self) -> None:
        close, self._close = self._close, lambda: None
        close()
