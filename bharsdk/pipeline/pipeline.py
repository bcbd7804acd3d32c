"""Three threads from a source to results, with queues between them that drop as the policy says.

::

    capture --FrameQueue--> landmarks --FrameQueue--> handle --FrameQueue--> the consumer
    (reads pictures)        (finds people)            (recognizes)           (iterates)

A pipelined landmarker gets the next picture before it has returned the people of the last one. The
third thread recognizes every frame that has landmarks. A slow consumer loses results, but never
their events (:meth:`Handler.merge_lost_events`).
"""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

from bharsdk.cameras.picture_folder import PictureFolder
from bharsdk.cameras.pictures import Pictures
from bharsdk.cameras.source_config import SourceConfig
from bharsdk.cameras.video import Video
from bharsdk.cameras.waiting import AwaitedPictures
from bharsdk.events import DropCause
from bharsdk.landmarkers.failures import Failures
from bharsdk.landmarkers.landmarker import Landmarker, PipelinedLandmarker
from bharsdk.pipeline.backpressure import FrameCounts
from bharsdk.pipeline.stages import Delivery, HandledFrame, Handler
from bharsdk.pipeline.workers import Capture, Detection, Handling, Shared
from bharsdk.process.closeable import CLOSE_S, Countdown, close_aside

__all__ = ["Pipeline"]

LOGGER = logging.getLogger("bharsdk")
T = TypeVar("T")

JOIN_SHARE, RESCUE_SHARE = 0.6, 0.25
"""Of the time for closing: what the threads get to end by themselves, and then an owned landmarker
to be closed under a thread that waits for it. The rest is for threads that this has freed."""


class Pipeline(Generic[T]):
    """Pictures through a landmarker and a handler; iterate over it, and close it.

    landmarker, pictures: closed by the pipeline (the landmarker if ``owns_landmarker``).
    on_trouble: told, by a thread of the pipeline, about a picture on which the landmarker failed.
    clock: seconds, for tests. What a thread raises, iterating raises, after all that came before:
    also an error when the landmarker failed on ten pictures in a row, or on all there were
    (:class:`bharsdk.landmarkers.failures.Failures`), and InputError when it gave something else
    than Landmarks.
    """

    def __init__(
        self,
        pictures: Pictures,
        landmarker: Landmarker,
        handler: Handler[T],
        config: SourceConfig,
        *,
        owns_landmarker: bool = True,
        on_trouble: Callable[[Exception], None] = lambda error: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._is_live, self._handler = pictures.is_live, handler
        depth = landmarker.depth if isinstance(landmarker, PipelinedLandmarker) else 1
        shared = Shared[T](pictures, depth, config, clock)
        failures = Failures(pictures.name)
        capture = Capture(shared, pictures)
        detection = Detection(shared, landmarker, failures, on_trouble)
        handling = Handling(
            *(shared, landmarker, handler, failures, on_trouble),
            owns_landmarker=owns_landmarker,
            expects_people=pictures.name if _shows_people(pictures) else None,
        )
        self._shared = shared
        self._closing = _Closing(shared, capture, detection, handling)
        # Threads hold what they work on and never this object, so that forgetting it closes it.
        self._finalizer = weakref.finalize(self, self._closing.close, CLOSE_S)
        self._closing.start()

    @property
    def is_live(self) -> bool:
        """Whether pictures come whether or not anybody is ready."""
        return self._is_live

    @property
    def counts(self) -> FrameCounts:
        """What became of the frames so far."""
        return self._shared.ledger.counts

    def __iter__(self) -> Pipeline[T]:
        return self

    def __next__(self) -> Delivery[T]:
        shared = self._shared
        while True:
            handled = shared.handled.get()
            if handled is None:
                error, shared.error = shared.error, None
                self.close()
                try:
                    raise error if error is not None else StopIteration
                finally:
                    del error  # its traceback holds this frame: no cycle
            captured = handled.captured
            if captured is not None and shared.is_stale(captured):
                shared.ledger.drop(DropCause.STALE)
                shared.lost.append(handled)
                continue
            age_s = 0.0 if captured is None else shared.age_s(captured)
            result = self._handler.merge_lost_events(self._lost_before(handled), handled.result)
            dropped = {} if captured is None else shared.ledger.deliver()
            return Delivery(result, age_s * 1000.0, dropped)

    def close(self, within_s: float = CLOSE_S) -> None:
        """Stop, drop what is under way, and release everything. A second call does nothing.

        Ends within a second whatever source and landmarker do, but waits for a recording to be
        written. A thread that hangs in one of them is left behind, with a warning.
        """
        self._finalizer.detach()
        self._closing.close(within_s)

    def _lost_before(self, handled: HandledFrame[T]) -> list[T]:
        """Results of earlier frames that nobody took in time."""
        lost, waiting = [], self._shared.lost
        while waiting and (
            handled.captured is None
            or (first := waiting[0].captured) is None
            or first.number < handled.captured.number
        ):
            lost.append(waiting.popleft().result)
        return lost


class _Closing(Generic[T]):
    """Starts the threads, and ends them."""

    def __init__(
        self,
        shared: Shared[T],
        capture: Capture[T],
        detection: Detection[T],
        handling: Handling[T],
    ) -> None:
        self._shared = shared
        self._handling: Handling[T] | None = handling
        self._threads = {
            threading.Thread(target=work.run, name=f"bhar-{name}", daemon=True): work.busy_with
            for name, work in (
                ("capture", capture),
                ("landmarks", detection),
                ("handle", handling),
            )
        }

    def start(self) -> None:
        for thread in self._threads:
            thread.start()

    def close(self, within_s: float) -> None:
        shared, countdown = self._shared, Countdown(within_s)
        shared.stopping.set()
        shared.halt()
        shared.handled.abort()
        if any(thread.is_alive() for thread in self._threads):
            close_aside(shared.interrupt_capture, "interrupt() of the source", within_s / 4)
        self._join(within_s * JOIN_SHARE - (within_s - countdown.left_s))
        if self._alive():
            self._leave(countdown, within_s)
        shared.error = None  # its traceback holds what failed

    def _leave(self, countdown: Countdown, within_s: float) -> None:
        """Finish without the threads that hang, and say what they hang in."""
        handling, self._handling = self._handling, None
        if handling is None:
            return
        try:
            handling.finish()  # the recording, if the thread has not got that far
        except Exception as error:
            LOGGER.error("close: %s", error)
        self._join(0.0)
        if self._alive():
            close_aside(
                handling.close_landmarker, "closing the landmarker", within_s * RESCUE_SHARE
            )
            self._join(max(countdown.left_s, 0.1))
        hanging = self._alive()
        if hanging:
            self._shared.ledger.settle()
            what = " and ".join(dict.fromkeys(self._threads[thread] for thread in hanging))
            LOGGER.warning(
                "close: %s has not returned in time: its thread is left behind, and ends when it"
                " returns",
                what,
            )

    def _join(self, within_s: float) -> None:
        countdown = Countdown(within_s)
        for thread in self._alive():
            thread.join(countdown.left_s)

    def _alive(self) -> list[threading.Thread]:
        current = threading.current_thread()
        return [t for t in self._threads if t is not current and t.is_alive()]


def _shows_people(pictures: Pictures) -> bool:
    """Whether pictures without anybody are the wrong ones: a video, or a folder."""
    return isinstance(pictures, Video | PictureFolder) or (
        isinstance(pictures, AwaitedPictures) and not pictures.is_live
    )
