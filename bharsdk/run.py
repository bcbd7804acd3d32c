"""A source being recognised: an iterator of results with a state, counts and a close."""

from __future__ import annotations

import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from bharsdk.closing import Closing
from bharsdk.recognition import Recognition
from bharsdk.results import Result
from bharsdk.sources.backpressure import DropCause, FrameCounts
from bharsdk.sources.stages import Delivery
from bharsdk.status import OnStatus, RunState, Status

__all__ = ["Callbacks", "Deliveries", "Run", "StatusBoard"]

LOGGER = logging.getLogger("bharsdk")
DEGRADED_SHARE = 0.5
DEGRADED_FRAMES = 60
"""A run is degraded while more than this share of so many last frames was dropped."""


GOING_ON = (RunState.WARMING, RunState.RUNNING, RunState.DEGRADED)


class StatusBoard:
    """The state of a run; tells it when it changes. For any number of threads."""

    def __init__(self, on_status: OnStatus | None = None) -> None:
        self._on_status = on_status
        self._lock = threading.RLock()
        self._status = Status(RunState.STARTING)
        self._is_lost = False
        if on_status is not None:
            on_status(self._status)

    @property
    def status(self) -> Status:
        """The state now."""
        with self._lock:
            return self._status

    def show(self, state: RunState, message: str = "") -> None:
        """Change to ``state``; what has ended stays so, and what is lost goes on so or ends.

        Frames that were under way when the source was lost are still delivered meanwhile.
        """
        with self._lock:
            if state is self._status.state or self.is_over:
                return
            if self._is_lost and state in GOING_ON:
                return
            self._status = Status(state, message)
            LOGGER.info("%s", self._status)
            if self._on_status is not None:
                self._on_status(self._status)

    def lose(self, error: Exception) -> None:
        """The source was lost: RECONNECTING until :meth:`regain`, or the end."""
        with self._lock:
            self.show(RunState.RECONNECTING, str(error))
            self._is_lost = True

    def regain(self) -> None:
        """The source delivers again; the next frame says how it is doing."""
        with self._lock:
            self._is_lost = False

    @property
    def is_over(self) -> bool:
        """Whether the run has ended."""
        with self._lock:
            return self._status.state in (RunState.ENDED, RunState.ERROR)


class Deliveries(Protocol):
    """What a run iterates over: a pipeline, or a :class:`bharsdk.serial_run.SerialRun`."""

    @property
    def is_live(self) -> bool:
        """Whether frames come whether or not anybody is ready."""
        ...

    @property
    def counts(self) -> FrameCounts:
        """What became of the frames so far."""
        ...

    def __next__(self) -> Delivery[Result]:
        """The next result."""
        ...

    def close(self) -> None:
        """Stop, and release everything. A second call does nothing."""
        ...


class Run(Closing):
    """Results of a source, in order; ``with`` or :meth:`close` ends it early.

    Iterating raises what ended the source; leaving the loop closes it. Made by ``Recognizer.run``.
    fps, frame_count: of the source, None where unknown.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        recognition: Recognition,
        board: StatusBoard,
        fps: float | None = None,
        frame_count: int | None = None,
    ) -> None:
        self._deliveries, self._recognition, self._board = deliveries, recognition, board
        self.fps, self.frame_count = fps, frame_count
        self._recent: deque[bool] = deque(maxlen=DEGRADED_FRAMES)  # was it delivered?
        # Also when the run is forgotten in the middle, and before the interpreter exits.
        self._finalizer = weakref.finalize(self, _close, deliveries, board)

    @property
    def is_live(self) -> bool:
        """Whether frames come whether or not anybody is ready."""
        return self._deliveries.is_live

    @property
    def recording_error(self) -> str | None:
        """Why a recording is not whole; None while it is, or where there is none."""
        return self._recognition.recording_error

    @property
    def status(self) -> Status:
        """How it is doing."""
        return self._board.status

    @property
    def counts(self) -> FrameCounts:
        """Frames captured, delivered, dropped by cause, and under way."""
        return self._deliveries.counts

    def __iter__(self) -> Run:
        return self

    def __next__(self) -> Result:
        try:
            delivery = next(self._deliveries)
        except StopIteration:
            self._board.show(RunState.ENDED)
            raise
        except BaseException as error:
            if isinstance(error, Exception):
                self._board.show(RunState.ERROR, str(error))
            self.close()
            raise
        if not delivery.result.is_final:
            self._note(delivery.dropped)
        return replace(delivery.result, age_ms=delivery.age_ms, dropped=delivery.dropped)

    def close(self) -> None:
        """Stop, and release camera, file and landmarker. A second call does nothing."""
        self._finalizer()

    def _note(self, dropped: dict[DropCause, int]) -> None:
        """The state after one more frame was delivered."""
        self._recent.extend([False] * min(sum(dropped.values()), DEGRADED_FRAMES))
        self._recent.append(True)
        share = 1 - sum(self._recent) / len(self._recent)
        if len(self._recent) == DEGRADED_FRAMES and share > DEGRADED_SHARE:
            worst = max(dropped, key=lambda cause: dropped[cause], default=DropCause.BUSY_CONSUMER)
            self._board.show(
                RunState.DEGRADED, f"{100 * share:.0f} % of the frames dropped: {worst.value}"
            )
        elif not self._recognition.is_warm:
            self._board.show(RunState.WARMING)
        else:
            self._board.show(RunState.RUNNING)


class Callbacks(Closing):
    """A run whose results a thread of its own hands to a callback; close it, or wait for its end.

    An exception of the callback ends the run, and :meth:`join` raises it.
    """

    def __init__(self, run: Run, on_result: Callable[[Result], None]) -> None:
        self.run = run
        self._on_result = on_result
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="bhar-callbacks", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            with self.run as results:
                for result in results:
                    self._on_result(result)
        except BaseException as error:
            self._error = error

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the end; False if it has not come yet. Raises what ended the run."""
        self._thread.join(timeout_s)
        error, self._error = self._error, None
        if error is not None:
            raise error
        return not self._thread.is_alive()

    def close(self) -> None:
        """Stop; the callback is not called any more. A second call does nothing."""
        self.run.close()
        if threading.current_thread() is not self._thread:
            self._thread.join()


def _close(deliveries: Deliveries, board: StatusBoard) -> None:
    deliveries.close()
    board.show(RunState.ENDED)
