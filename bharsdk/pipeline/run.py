"""A run: an iterator over the results of a source, with a state, counts and ``close()``."""

from __future__ import annotations

import logging
import threading
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from bharsdk.errors import BharError
from bharsdk.events import DropCause
from bharsdk.pipeline.backpressure import FrameCounts
from bharsdk.pipeline.board import StatusBoard, check_callback
from bharsdk.pipeline.frame_handler import FrameHandler
from bharsdk.pipeline.stages import Delivery
from bharsdk.pipeline.status import RunState, Status
from bharsdk.process.closeable import CLOSE_S, Closing, Countdown
from bharsdk.recognition.results import Result
from bharsdk.values.brief import brief
from bharsdk.values.checks import typed

__all__ = ["Callbacks", "Deliveries", "Described", "Run"]

LOGGER = logging.getLogger("bharsdk")
DEGRADED_SHARE = 0.5
DEGRADED_FRAMES = 60
"""A run is degraded while more than this share of so many last frames was dropped."""


class Deliveries(Protocol):
    """What a run iterates over: a pipeline, or a :class:`bharsdk.recordings.replay.Replay`."""

    @property
    def is_live(self) -> bool:
        """Whether the source is live: its frames come even if nobody is ready."""
        ...

    @property
    def counts(self) -> FrameCounts:
        """What became of the frames so far."""
        ...

    def __next__(self) -> Delivery[Result]:
        """The next result."""
        ...

    def close(self, within_s: float = CLOSE_S) -> None:
        """Stop, and release everything, in about so many seconds. A second call does nothing."""
        ...


class Described(Protocol):
    """What is known of a source, maybe only once it was opened."""

    @property
    def fps(self) -> float | None:
        """Nominal frames a second; None where unknown."""
        ...

    @property
    def frame_count(self) -> int | None:
        """How many frames there will be; None where unknown."""
        ...


class Run(Closing):
    """The results of a source, in order of time. Iterate over it.

    ::

        with recognizer.run(0) as run:
            for result in run:
                print(result.events, run.status)

    Made by :meth:`bharsdk.Recognizer.run`. If an error ends the source, iterating raises it. The
    end of the ``with`` block, or :meth:`close`, ends the run early.
    """

    def __init__(
        self,
        deliveries: Deliveries,
        recognition: FrameHandler,
        board: StatusBoard,
        source: Described,
    ) -> None:
        self._deliveries, self._recognition, self._board = deliveries, recognition, board
        self._source = source
        self._recent: deque[bool] = deque(maxlen=DEGRADED_FRAMES)  # was it delivered?
        # Also when the run is forgotten in the middle, and before the interpreter exits.
        self._finalizer = weakref.finalize(self, _close, deliveries, board)

    def __repr__(self) -> str:
        counts = self.counts
        return brief(
            self,
            state=self.status.state.value,
            captured=counts.captured,
            delivered=counts.delivered,
            dropped=counts.total_dropped,
        )

    @property
    def fps(self) -> float | None:
        """Nominal frames each second of the source; None if unknown or not opened yet."""
        return self._source.fps

    @property
    def frame_count(self) -> int | None:
        """The number of frames of the source; None if unknown or not opened yet."""
        return self._source.frame_count

    @property
    def is_live(self) -> bool:
        """Whether the source is live: its frames come even if nobody is ready."""
        return self._deliveries.is_live

    @property
    def recording_error(self) -> str | None:
        """Why the recording is incomplete; None if it is complete or there is none."""
        return self._recognition.recording_error

    @property
    def status(self) -> Status:
        """The state now, and why."""
        return self._board.status

    @property
    def counts(self) -> FrameCounts:
        """The number of frames captured, delivered and dropped so far."""
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
        """Stop the run, and release camera, file and landmarker. A second call does nothing.

        Takes at most a second, even if source, landmarker or callback hang. Only a recording is
        always written to its end. A thread that hangs is left behind; a warning names it.
        """
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
    """A run in the background: a thread calls a function with each result.

    Made by :meth:`bharsdk.Recognizer.start`. The end of a ``with`` block, or :meth:`close`, ends
    it; :meth:`join` waits for its end. If the function raises an exception, the run ends.
    :meth:`join` raises that exception; if nobody joins, it is logged as an error.

    Attributes:
        run: the :class:`Run`, with its state and counts.

    Raises:
        InputError: ``on_result`` is not callable.
    """

    def __init__(self, run: Run, on_result: Callable[[Result], None]) -> None:
        check_callback("on_result", on_result)
        self.run = run
        self._calls = _Calls()
        self._thread = threading.Thread(
            target=_hand_over,
            args=(run, on_result, self._calls),
            name="bhar-callbacks",
            daemon=True,
        )
        self._thread.start()

    def __repr__(self) -> str:
        return brief(self, run=self.run, is_alive=self._thread.is_alive())

    def join(self, timeout_s: float | None = None) -> bool:
        """Wait for the end of the run, and return whether it has ended.

        Args:
            timeout_s: longest time to wait, seconds; None waits without limit.

        Raises:
            Exception: the error that ended the run, once.
        """
        timeout_s = typed(float | None, timeout_s, "join: got timeout_s")
        error = self._calls.wait(self._thread, timeout_s)
        try:
            if error is not None:
                raise error
        finally:
            del error  # its traceback holds this frame: no cycle
        return not self._thread.is_alive()

    def close(self) -> None:
        """Stop the run; no call of the function begins any more. A second call does nothing.

        Takes at most a second, as :meth:`Run.close`. A call that hangs is left behind, with a
        warning.
        """
        countdown = Countdown(CLOSE_S)
        is_first = self._calls.close()
        self.run.close()
        if threading.current_thread() is self._thread:
            return
        self._thread.join(max(countdown.left_s, 0.05))
        if is_first and self._thread.is_alive():
            LOGGER.warning(
                "close: %s has not returned in time: its thread is left behind, and ends when it"
                " returns",
                "the callback on_result" if self._calls.is_calling else "the source",
            )


class _Calls:
    """What became of a callback; for the thread that calls it, and those that wait for that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._error: BaseException | None = None
        self._waiting = 0
        self._is_closed = False
        self.is_calling = False

    def call(self, on_result: Callable[[Result], None], result: Result) -> None:
        """Call, unless closed."""
        with self._lock:
            if self._is_closed:
                return
            self.is_calling = True
        try:
            on_result(result)
        finally:
            self.is_calling = False

    def close(self) -> bool:
        """No call begins any more. Returns whether one could have."""
        with self._lock:
            was_closed, self._is_closed = self._is_closed, True
            return not was_closed

    def fail(self, error: BaseException) -> None:
        """Keep ``error`` for who waits; where nobody does, say it now."""
        with self._lock:
            self._error = error
            is_heard = self._waiting > 0
        if is_heard:
            return
        if isinstance(error, BharError):  # its one line says it all
            LOGGER.error("the run has ended: %s", error)
        else:
            LOGGER.error("the run has ended with an error of its callback", exc_info=error)

    def wait(self, thread: threading.Thread, timeout_s: float | None) -> BaseException | None:
        """Wait for ``thread``. Returns its error, once."""
        with self._lock:
            self._waiting += 1
        try:
            thread.join(timeout_s)
        finally:
            with self._lock:
                self._waiting -= 1
                error, self._error = self._error, None
        return error


def _hand_over(run: Run, on_result: Callable[[Result], None], calls: _Calls) -> None:
    """The work of the thread. Holds the Callbacks in no way, and no frame of it holds its error."""
    try:
        _call_for_all(run, on_result, calls)
    except BaseException as error:
        calls.fail(error)
    finally:
        del run, on_result, calls


def _call_for_all(run: Run, on_result: Callable[[Result], None], calls: _Calls) -> None:
    with run as results:
        for result in results:
            calls.call(on_result, result)


def _close(deliveries: Deliveries, board: StatusBoard) -> None:
    countdown = Countdown(CLOSE_S)
    try:
        deliveries.close(0.8 * CLOSE_S)
    finally:
        board.end(max(countdown.left_s, 0.05))
