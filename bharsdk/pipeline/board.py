"""The state of a run, and telling it to whoever asked for it."""

from __future__ import annotations

import logging
import threading
from collections import deque

from bharsdk.errors import InputError
from bharsdk.pipeline.status import OnStatus, RunState, Status
from bharsdk.values.brief import text_of

__all__ = ["StatusBoard", "check_callback"]

LOGGER = logging.getLogger("bharsdk")
GOING_ON = (RunState.WARMING, RunState.RUNNING, RunState.DEGRADED)


class StatusBoard:
    """The state of a run; tells it when it changes. For any number of threads.

    ``on_status`` is called by one thread at a time, in order, and with no lock held: one that hangs
    holds up nobody but its own thread. What it raises is logged, and the run goes on. Raises
    InputError when it cannot be called.
    """

    def __init__(self, on_status: OnStatus | None = None) -> None:
        if on_status is not None:
            check_callback("on_status", on_status)
        self._on_status = on_status
        self._changed = threading.Condition()
        self._status = Status(RunState.STARTING)
        self._is_lost = self._has_failed = self._was_degraded = False
        self._untold = deque([self._status] if on_status is not None else [])
        self._teller: int | None = None
        """The thread that is telling now."""
        self._tell()

    @property
    def status(self) -> Status:
        """The state now."""
        with self._changed:
            return self._status

    def show(self, state: RunState, message: str = "", *, is_logged: bool = False) -> None:
        """Change to ``state``; what has ended stays so, and what is lost goes on so or ends.

        Frames that were under way when the source was lost are still delivered meanwhile.
        is_logged: somebody has said it already.
        """
        with self._changed:
            if state is self._status.state or self.is_over:
                return
            if self._is_lost and state in GOING_ON:
                return
        self._change(Status(state, message), is_logged=is_logged)

    def wait(self, error: Exception) -> None:
        """The source is not there yet, and is waited for."""
        self._change(Status(RunState.STARTING, f"waiting for the source: {error}"))

    def lose(self, error: Exception) -> None:
        """The source was lost: RECONNECTING until :meth:`regain`, or the end."""
        self.show(RunState.RECONNECTING, str(error))
        with self._changed:
            self._is_lost = True

    def regain(self) -> None:
        """The source delivers again; the next frame says how it is doing."""
        with self._changed:
            self._is_lost = False

    def end(self, within_s: float) -> None:
        """ENDED, if it has not ended yet, told by a thread of its own.

        Waits for ``on_status``, also for what it was being told before, at most ``within_s``
        seconds. If it hangs, it is not called any more.
        """
        with self._changed:
            if not self.is_over:
                self._set(Status(RunState.ENDED))
            if self._is_told or self._teller == threading.get_ident():  # it tells when it returns
                return
        teller = threading.Thread(target=self._tell, name="bhar-status", daemon=True)
        try:
            teller.start()
        except RuntimeError:  # the interpreter is going and starts no more threads
            self._tell()
        with self._changed:
            if self._changed.wait_for(lambda: self._is_told, within_s):
                return
            self._on_status = None
            self._untold.clear()
        LOGGER.warning(
            "close: the callback on_status has not returned in time: it is not called any more"
        )

    @property
    def is_over(self) -> bool:
        """Whether the run has ended."""
        with self._changed:
            return self._status.state in (RunState.ENDED, RunState.ERROR)

    @property
    def _is_told(self) -> bool:
        return not self._untold and self._teller is None

    def _change(self, status: Status, *, is_logged: bool = False) -> None:
        with self._changed:
            self._set(status)
            level = self._level(status.state)
        LOGGER.log(logging.INFO if is_logged else level, "%s", status)
        self._tell()

    def _set(self, status: Status) -> None:
        self._status = status
        if self._on_status is not None:
            self._untold.append(status)

    def _level(self, state: RunState) -> int:
        """A lost source is a warning every time, frames that are dropped the first time."""
        if state is RunState.RECONNECTING:
            return logging.WARNING
        if state is RunState.DEGRADED and not self._was_degraded:
            self._was_degraded = True
            return logging.WARNING
        return logging.INFO

    def _tell(self) -> None:
        """Tell what was not told yet, unless another thread is doing it and will tell this too."""
        while True:
            with self._changed:
                on_status = self._on_status
                if on_status is None or self._teller is not None or not self._untold:
                    return
                status = self._untold.popleft()
                self._teller = threading.get_ident()
            try:
                on_status(status)
            except Exception as error:
                if not self._has_failed:
                    self._has_failed = True
                    LOGGER.error(
                        "the callback on_status raised an error, and the run goes on",
                        exc_info=error,
                    )
            finally:
                with self._changed:
                    self._teller = None
                    self._changed.notify_all()


def check_callback(name: str, callback: object) -> None:
    """Raise InputError unless ``callback`` can be called."""
    if not callable(callback):
        kind = "" if callback is None else f" of type {type(callback).__name__}"
        got = f"{text_of(callback)}{kind}"
        raise InputError(f"{name}: got {got}, expected a function that takes one argument")
