"""Three threads from a source to results, joined by queues that give way as the policy says.

::

    capture --FrameQueue--> landmarks --FrameQueue--> handle --FrameQueue--> the consumer
    (reads pictures)        (finds people)            (recognises)           (iterates)

A landmarker whose stages overlap gets the next picture before it has given the last one's people.
What is handled is handled for every frame with landmarks, however slow the consumer: it loses
results, never what they report (:meth:`Handler.absorb`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Generic, TypeVar

from bharsdk.errors import InputError, SourceError
from bharsdk.landmarks import Landmarks
from bharsdk.sources.backpressure import (
    Backpressure,
    DropCause,
    FrameCounts,
    FrameLedger,
    FrameQueue,
)
from bharsdk.sources.config import SourceConfig
from bharsdk.sources.frame import (
    CapturedImage,
    Landmarker,
    Pictures,
    PipelinedLandmarker,
)
from bharsdk.sources.pictures import TimeGuard
from bharsdk.sources.stages import Delivery, Found, Handled, Handler, Shot
from bharsdk.sources.video import Video

__all__ = ["Pipeline"]

LOGGER = logging.getLogger("bharsdk")
T = TypeVar("T")

MAX_FAILURES = 10
"""So many pictures in a row on which the landmarker raises an error are one too many."""
CLOSE_S = 1.0
"""Closing waits this long for the threads. A camera that does not return from a read keeps its own
thread; it is released when it does."""


class Pipeline(Generic[T]):
    """Pictures through a landmarker and a handler; iterate over it, and close it.

    landmarker, pictures: closed by the pipeline (the landmarker if ``owns_landmarker``).
    on_trouble: told, by a thread of the pipeline, about a picture on which the landmarker failed.
    clock: seconds, for tests. What a thread raises, iterating raises, after all that came before.
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
        self._pictures, self._landmarker, self._handler = pictures, landmarker, handler
        self._owns_landmarker = owns_landmarker
        self._pipelined = landmarker if isinstance(landmarker, PipelinedLandmarker) else None
        self._on_trouble, self._clock = on_trouble, clock
        policy = config.policy(is_live=pictures.is_live)
        self._max_age_s = None if policy is Backpressure.WAIT else config.max_age_s
        self._ledger = FrameLedger()
        self._shots = FrameQueue[Shot](
            config.slots, policy, self._dropper(DropCause.BUSY_LANDMARKER)
        )
        depth = self._pipelined.depth if self._pipelined is not None else 1
        self._room = threading.Semaphore(depth)
        self._found = FrameQueue[Found](depth, Backpressure.WAIT, self._dropper(DropCause.CLOSED))
        self._handled = FrameQueue[Handled[T]](config.slots, policy, self._lose)
        self._lost: deque[Handled[T]] = deque()
        self._stopping, self._halted = threading.Event(), threading.Event()
        self._people_expected = isinstance(pictures, Video)
        self._saw_somebody = False
        self._error: BaseException | None = None
        self._threads = [
            threading.Thread(target=work, name=f"bhar-{name}", daemon=True)
            for name, work in (
                ("capture", self._run_capture),
                ("landmarks", self._run_landmarks),
                ("handle", self._run_handling),
            )
        ]
        for thread in self._threads:
            thread.start()

    @property
    def is_live(self) -> bool:
        """Whether pictures come whether or not anybody is ready."""
        return self._pictures.is_live

    @property
    def counts(self) -> FrameCounts:
        """What became of the frames so far."""
        return self._ledger.counts

    def __iter__(self) -> Pipeline[T]:
        return self

    def __next__(self) -> Delivery[T]:
        while True:
            handled = self._handled.get()
            if handled is None:
                self.close()
                error, self._error = self._error, None
                raise error if error is not None else StopIteration
            shot = handled.shot
            age_s = 0.0 if shot is None else self._clock() - shot.arrived_s
            if shot is not None and self._is_stale(age_s):
                self._ledger.drop(DropCause.STALE)
                self._lost.append(handled)
                continue
            result = self._handler.absorb(self._lost_before(handled), handled.result)
            dropped = {} if shot is None else self._ledger.deliver()
            return Delivery(result, age_s * 1000.0, dropped)

    def close(self) -> None:
        """Stop, drop what is under way, and release everything. A second call does nothing."""
        self._stopping.set()
        self._halt()
        self._handled.abort()
        until_s = time.monotonic() + CLOSE_S
        others = [t for t in self._threads if t is not threading.current_thread()]
        for thread in others:
            thread.join(max(until_s - time.monotonic(), 0.0))
        if any(thread.is_alive() for thread in others):
            LOGGER.warning("a source is busy after %.0f s; it closes when it returns", CLOSE_S)

    # ---- the threads ----------------------------------------------------------------------------

    def _run_capture(self) -> None:
        try:
            self._capture()
        except BaseException as error:
            self._fail(error)  # what it gave before is used all the same
        finally:
            self._shots.end()
            self._pictures.close()

    def _run_landmarks(self) -> None:
        try:
            self._detect()
        except BaseException as error:
            self._fail(error)  # what it found before is handled all the same
            self._end_capture()
        finally:
            self._found.end()

    def _run_handling(self) -> None:
        last: T | None = None
        try:
            self._handle()
            self._check_people()
            last = self._handler.finish()
        except BaseException as error:
            self._fail(error)
            self._halt()
        finally:
            self._handler.close()
            if self._owns_landmarker:
                self._landmarker.close()
            self._handled.end(None if last is None else Handled(None, last))

    def _capture(self) -> None:
        guard = TimeGuard()
        for picture in self._pictures:
            number = self._ledger.capture()
            time_ms = guard.admit(picture.timestamp_ms)
            if time_ms is None:
                self._ledger.drop(DropCause.TIMESTAMP)
                continue
            if time_ms != picture.timestamp_ms:
                picture = replace(picture, timestamp_ms=time_ms)
            if not self._shots.put(Shot(number, picture, self._clock())):
                self._ledger.drop(DropCause.CLOSED)
                return

    def _detect(self) -> None:
        failures = 0
        while (shot := self._shots.get()) is not None:
            if self._is_stale(self._clock() - shot.arrived_s):
                self._ledger.drop(DropCause.STALE)
                continue
            if self._pipelined is not None:
                self._room.acquire()
            if self._halted.is_set():
                self._ledger.drop(DropCause.CLOSED)
                return
            begun_s = self._clock()
            try:
                people = self._begin(shot.picture)
            except Exception as error:
                self._room.release()
                failures += 1
                self._failed(error, failures)
                continue
            failures = 0
            if not self._found.put(Found(shot, begun_s, people)):
                self._ledger.drop(DropCause.CLOSED)
                return

    def _handle(self) -> None:
        failures = 0
        while (found := self._found.get()) is not None:
            try:
                people = self._people(found)
            except Exception as error:
                failures += 1
                self._failed(error, failures)
                continue
            failures = 0
            if isinstance(people, Landmarks):
                raise InputError(
                    f"landmarker: {type(self._landmarker).__name__} gave Landmarks, expected a"
                    " sequence of them, one for each person"
                )
            self._saw_somebody |= any(person.has_body for person in people)
            landmarks_ms = (self._clock() - found.begun_s) * 1000.0
            try:
                result = self._handler.handle(found.frame(people, landmarks_ms))
            except BaseException:
                self._ledger.drop(DropCause.FAILED)
                raise
            if not self._handled.put(Handled(found.shot, result)):
                self._ledger.drop(DropCause.CLOSED)

    def _check_people(self) -> None:
        """A video that was read to its end and showed nobody is the wrong video."""
        whole = self._error is None and not self._stopping.is_set()
        if self._people_expected and whole and not self._saw_somebody:
            raise InputError(
                f"{self._pictures.name}: no person found in {self._ledger.counts.captured} frames,"
                " expected a video that shows one, from the hips up"
            )

    # ---- the landmarker, which may give its people later -----------------------------------------

    def _begin(self, picture: CapturedImage) -> Sequence[Landmarks] | None:
        if self._pipelined is None:
            return self._landmarker.detect(picture.image, picture.timestamp_ms)
        self._pipelined.send(picture.image, picture.timestamp_ms)
        return None

    def _people(self, found: Found) -> Sequence[Landmarks]:
        if found.people is not None:
            return found.people
        assert self._pipelined is not None
        try:
            return self._pipelined.receive()
        finally:
            self._room.release()

    # ---- what they share ------------------------------------------------------------------------

    def _is_stale(self, age_s: float) -> bool:
        return self._max_age_s is not None and age_s > self._max_age_s

    def _halt(self) -> None:
        """Let nobody wait before the last queue."""
        self._halted.set()
        self._end_capture()
        self._found.abort()
        self._room.release()

    def _end_capture(self) -> None:
        """Nobody looks at pictures any more."""
        self._pictures.interrupt()
        self._shots.abort()

    def _fail(self, error: BaseException) -> None:
        if self._error is None and not self._stopping.is_set():
            self._error = error

    def _dropper(self, cause: DropCause) -> Callable[[object], None]:
        def drop(_: object) -> None:
            self._ledger.drop(DropCause.CLOSED if self._stopping.is_set() else cause)

        return drop

    def _lose(self, handled: Handled[T]) -> None:
        if handled.shot is not None:
            self._dropper(DropCause.BUSY_CONSUMER)(handled)
        self._lost.append(handled)

    def _lost_before(self, handled: Handled[T]) -> list[T]:
        """Results of earlier frames that nobody took in time."""
        lost = []
        while self._lost and (
            handled.shot is None
            or (first := self._lost[0].shot) is None
            or first.number < handled.shot.number
        ):
            lost.append(self._lost.popleft().result)
        return lost

    def _failed(self, error: Exception, failures: int) -> None:
        """Count a picture on which the landmarker failed; raises when there are too many."""
        self._ledger.drop(DropCause.FAILED)
        self._on_trouble(error)
        if failures >= MAX_FAILURES:
            raise SourceError(
                f"landmarker: failed on {failures} pictures in a row, the last time with {error!r},"
                " expected landmarks: restart it, or run without it"
            ) from error
