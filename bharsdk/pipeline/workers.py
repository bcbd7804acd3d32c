"""The three threads of a pipeline: each holds what it needs, so that one that hangs keeps no more.

A thread inside a camera or a landmarker that does not return cannot be ended. It is a daemon, and
is left behind with that camera or landmarker alone: no queue waits for it, nobody counts on it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Generic, TypeVar

from bharsdk.cameras.pictures import CapturedImage, Pictures
from bharsdk.cameras.source_config import Backpressure, SourceConfig
from bharsdk.errors import InputError
from bharsdk.events import DropCause
from bharsdk.landmarkers.failures import Failures, checked_people
from bharsdk.landmarkers.landmarker import Landmarker, PipelinedLandmarker
from bharsdk.pipeline.backpressure import FrameLedger, FrameQueue
from bharsdk.pipeline.stages import CapturedFrame, DetectedFrame, HandledFrame, Handler
from bharsdk.pipeline.time_guard import TimeGuard

__all__ = ["Capture", "Detection", "Handling", "Shared"]

LOGGER = logging.getLogger("bharsdk")
T = TypeVar("T")

OnTrouble = Callable[[Exception], None]


class Shared(Generic[T]):
    """Queues, counts and flags of a pipeline. depth: pictures the landmarker takes at once.

    lost: results that nobody took in time. error: what ended it, the first one.
    """

    def __init__(
        self, pictures: Pictures, depth: int, config: SourceConfig, clock: Callable[[], float]
    ) -> None:
        policy = config.policy(is_live=pictures.is_live)
        self._max_age_s = None if policy is Backpressure.WAIT else config.max_age_s
        self.clock = clock
        self.ledger = ledger = FrameLedger()
        self.stopping = stopping = threading.Event()
        self.halted = threading.Event()
        self.room = threading.Semaphore(depth)
        self.lost = lost = deque[HandledFrame[T]]()
        self.error: BaseException | None = None
        self._interrupt: Callable[[], None] | None = pictures.interrupt

        # These hold the counts and not this object, which holds the queues that call them.
        def drop(cause: DropCause) -> None:
            ledger.drop(DropCause.CLOSED if stopping.is_set() else cause)

        def lose(handled: HandledFrame[T]) -> None:
            if handled.captured is not None:
                drop(DropCause.BUSY_CONSUMER)
            lost.append(handled)

        self.shots = FrameQueue[CapturedFrame](
            config.slots, policy, lambda _: drop(DropCause.BUSY_LANDMARKER)
        )
        self.found = FrameQueue[DetectedFrame](
            depth, Backpressure.WAIT, lambda _: drop(DropCause.CLOSED)
        )
        self.handled = FrameQueue[HandledFrame[T]](config.slots, policy, lose)

    def is_stale(self, captured: CapturedFrame) -> bool:
        """Whether a picture has waited for too long."""
        return self._max_age_s is not None and self.age_s(captured) > self._max_age_s

    def age_s(self, captured: CapturedFrame) -> float:
        """Seconds since a picture arrived."""
        return self.clock() - captured.arrived_s

    def fail(self, error: BaseException) -> None:
        """Keep what ends the pipeline; what its closing brings about is nobody's error."""
        if self.error is None and not self.stopping.is_set():
            self.error = error

    def halt(self) -> None:
        """Let nobody wait before the last queue."""
        self.halted.set()
        self.shots.abort()
        self.found.abort()
        self.room.release()

    def interrupt_capture(self) -> None:
        """Nobody looks at pictures any more. Calls the source, which may take its time."""
        self.shots.abort()
        interrupt = self._interrupt
        try:
            if interrupt is not None:
                interrupt()
        except Exception as error:
            LOGGER.error("source: interrupt() failed", exc_info=error)

    def capture_ended(self) -> None:
        """The source is closed; there is nothing to interrupt."""
        self._interrupt = None


class Capture(Generic[T]):
    """Pictures of the source into the first queue; closes the source."""

    def __init__(self, shared: Shared[T], pictures: Pictures) -> None:
        self._shared, self._pictures = shared, pictures
        self.busy_with = f"the source {pictures.name}"

    def run(self) -> None:
        """Until the source ends, or nobody wants its pictures any more."""
        shared = self._shared
        try:
            self._capture()
        except BaseException as error:
            shared.fail(error)  # what it gave before is used all the same
        shared.shots.end()
        try:
            self._pictures.close()
        except Exception as error:  # too late to be raised: the frames may have been taken by now
            LOGGER.error("%s: closing it failed", self.busy_with, exc_info=error)
        finally:
            shared.capture_ended()

    def _capture(self) -> None:
        shared, guard = self._shared, TimeGuard()
        for picture in self._pictures:
            if shared.halted.is_set():
                return
            number = shared.ledger.capture()
            time_ms = guard.admit(picture.timestamp_ms)
            if time_ms is None:
                shared.ledger.drop(DropCause.TIMESTAMP)
                continue
            if time_ms != picture.timestamp_ms:
                picture = replace(picture, timestamp_ms=time_ms)
            if not shared.shots.put(CapturedFrame(number, picture, shared.clock())):
                shared.ledger.drop(DropCause.CLOSED)
                return


class Detection(Generic[T]):
    """Pictures to the landmarker, and on with the people that it found, or will."""

    def __init__(
        self,
        shared: Shared[T],
        landmarker: Landmarker,
        failures: Failures,
        on_trouble: OnTrouble,
    ) -> None:
        self._shared, self._landmarker = shared, landmarker
        self._pipelined = landmarker if isinstance(landmarker, PipelinedLandmarker) else None
        self._failures, self._on_trouble = failures, on_trouble
        self.busy_with = f"the landmarker {type(landmarker).__name__}"

    def run(self) -> None:
        """Until there are no more pictures, or nobody wants their people."""
        shared = self._shared
        try:
            self._detect()
        except BaseException as error:
            shared.fail(error)  # what it found before is handled all the same
            shared.shots.abort()
        finally:
            shared.found.end()
        if shared.error is not None:
            shared.interrupt_capture()

    def _detect(self) -> None:
        shared = self._shared
        while (captured := shared.shots.get()) is not None:
            if shared.is_stale(captured):
                shared.ledger.drop(DropCause.STALE)
                continue
            if self._pipelined is not None:
                shared.room.acquire()
            if shared.halted.is_set():
                shared.ledger.drop(DropCause.CLOSED)
                return
            begun_s = shared.clock()
            try:
                people = self._begin(captured.picture)
            except Exception as error:
                shared.ledger.drop(DropCause.FAILED)
                shared.room.release()
                if shared.stopping.is_set():
                    return
                self._failures.failed(captured.number, error)
                self._on_trouble(error)
                continue
            if not shared.found.put(DetectedFrame(captured, begun_s, people)):
                shared.ledger.drop(DropCause.CLOSED)
                return

    def _begin(self, picture: CapturedImage) -> object:
        if self._pipelined is None:
            people: object = self._landmarker.detect(picture.image, picture.timestamp_ms)
            # It may use its list again for the next picture.
            return people.copy() if isinstance(people, list) else people
        self._pipelined.send(picture.image, picture.timestamp_ms)
        return None


class Handling(Generic[T]):
    """People to the handler, and results into the last queue; closes the handler.

    landmarker: closed at the end if ``owns_landmarker``. expects_people: whose name, if any, is to
    be in the error of a source that showed nobody.
    """

    def __init__(
        self,
        shared: Shared[T],
        landmarker: Landmarker,
        handler: Handler[T],
        failures: Failures,
        on_trouble: OnTrouble,
        *,
        owns_landmarker: bool,
        expects_people: str | None,
    ) -> None:
        self._shared, self._landmarker, self._owns_landmarker = shared, landmarker, owns_landmarker
        self._pipelined = landmarker if isinstance(landmarker, PipelinedLandmarker) else None
        self._failures, self._on_trouble = failures, on_trouble
        self._expects_people, self._saw_somebody = expects_people, False
        # Held while the handler works, never while one waits. Reentrant: a collector may close the
        # pipeline in the middle of anything.
        self._lock = threading.RLock()
        self._handler: Handler[T] | None = handler
        self.busy_with = f"the landmarker {type(landmarker).__name__}"

    def run(self) -> None:
        """Until there are no more people; then the handler's end, and that of the landmarker."""
        shared, last = self._shared, None
        try:
            self._handle()
            self._check_end()
            last = self.finish()
        except BaseException as error:
            shared.fail(error)
            shared.halt()
        try:
            self.finish(is_whole=False)
            if self._owns_landmarker:
                self._landmarker.close()
        except BaseException as error:
            shared.fail(error)
        finally:
            self._failures.forget()
            shared.handled.end(None if last is None else HandledFrame(None, last))
        if shared.error is not None:
            shared.interrupt_capture()

    def finish(self, *, is_whole: bool = True) -> T | None:
        """Finish and close the handler, once; whoever comes second gets None. For any thread.

        is_whole: False after an error of the handler, of which no result is to be had any more.
        Returns what the end of the source makes certain.
        """
        with self._lock:
            handler, self._handler = self._handler, None
            if handler is None:
                return None
            try:
                return handler.finish() if is_whole else None
            finally:
                handler.close()

    def close_landmarker(self) -> None:
        """End a wait for people that do not come."""
        if self._owns_landmarker:
            self._landmarker.close()

    def _handle(self) -> None:
        shared = self._shared
        while (found := shared.found.get()) is not None:
            try:
                people = self._people(found)
            except Exception as error:
                shared.ledger.drop(DropCause.FAILED)
                if shared.stopping.is_set():
                    return
                self._failures.failed(found.captured.number, error)
                self._on_trouble(error)
                continue
            if not self._pass_on(found, people):
                return

    def _people(self, found: DetectedFrame) -> object:
        if self._pipelined is None:
            return found.people
        try:
            return self._pipelined.receive()
        finally:
            self._shared.room.release()

    def _pass_on(self, found: DetectedFrame, given: object) -> bool:
        """One frame's people to the handler. Returns whether the next ones are wanted."""
        shared = self._shared
        try:
            people = checked_people(given, self._landmarker)
            self._failures.succeeded(found.captured.number)
            self._saw_somebody |= any(person.is_seen for person in people)
            landmarks_ms = (shared.clock() - found.begun_s) * 1000.0
            with self._lock:
                if self._handler is None:  # closed meanwhile, without waiting for this thread
                    shared.ledger.drop(DropCause.CLOSED)
                    return False
                result = self._handler.handle(found.frame(people, landmarks_ms))
        except BaseException:
            shared.ledger.drop(DropCause.FAILED)
            raise
        if not shared.handled.put(HandledFrame(found.captured, result)):
            shared.ledger.drop(DropCause.CLOSED)
        return True

    def _check_end(self) -> None:
        """A source that was read to its end was searched, and if a video it shows somebody."""
        shared = self._shared
        if shared.error is not None or shared.stopping.is_set():
            return
        self._failures.check_end()
        if self._expects_people is not None and not self._saw_somebody:
            raise InputError(
                f"{self._expects_people}: no person found in"
                f" {shared.ledger.counts.captured} frames, expected a video that shows one, from"
                " the hips up"
            )
