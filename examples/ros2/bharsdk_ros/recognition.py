"""What the node does, without ROS: a life cycle around a recognizer that images are handed to.

::

    unconfigured --configure--> inactive --activate--> active
                 <--cleanup----          <-deactivate-          any of them --shutdown--> finalized
"""

from __future__ import annotations

import enum
import threading
from collections.abc import Callable
from dataclasses import dataclass

from bharsdk import (
    FrameCounts,
    Image,
    Landmarker,
    OnStatus,
    Recognizer,
    Run,
    SourceConfig,
    UsageError,
)
from bharsdk_ros.mailbox import Mailbox
from bharsdk_ros.messages import Stamped, StampedResult

__all__ = ["Recognition", "Settings", "State"]

STOP_S = 2.0
"""What is under way gets so long to become a result, before it is dropped."""


class State(enum.Enum):
    """The primary states of a ROS 2 life cycle."""

    UNCONFIGURED = "unconfigured"
    INACTIVE = "inactive"
    ACTIVE = "active"
    FINALIZED = "finalized"


@dataclass(frozen=True)
class Settings:
    """As :class:`bharsdk.Recognizer` has them. score_threshold: 0 leaves the bundle's own."""

    model: str = "asl-coffee"
    backend: str = "auto"
    max_persons: int = 1
    score_threshold: float = 0.0


class Recognition:
    """Images in, results with the stamps of their images out.

    on_result: told of every result. on_error: told of what ended the recognition, which stays ended
    until it is enabled or activated again. on_status: told how it is doing. All three are called by
    threads of the recognition's own, and must not change its state. make_landmarker: makes what
    finds the joints, anew for each start; default MediaPipe. config: staleness, for one.

    Transitions raise UsageError when they are not possible from the present state, and leave that
    as it is when they fail. Any thread may call any method.
    """

    def __init__(
        self,
        on_result: Callable[[StampedResult], None],
        on_error: Callable[[Exception], None],
        on_status: OnStatus | None = None,
        *,
        make_landmarker: Callable[[], Landmarker] | None = None,
        config: SourceConfig | None = None,
    ) -> None:
        self._on_result, self._on_error, self._on_status = on_result, on_error, on_status
        self._make_landmarker, self._config = make_landmarker, config
        self._lock = threading.RLock()
        self._state, self._enabled = State.UNCONFIGURED, True
        self._recognizer: Recognizer | None = None
        self._current: _Current | None = None

    @property
    def state(self) -> State:
        """Where in its life cycle it is."""
        return self._state

    @property
    def enabled(self) -> bool:
        """Whether it recognizes while it is active."""
        return self._enabled

    @property
    def is_running(self) -> bool:
        """Whether images become results now."""
        current = self._current
        return current is not None and current.thread.is_alive()

    @property
    def counts(self) -> FrameCounts:
        """What became of the images since the last start, but for those :attr:`replaced`."""
        current = self._current
        return FrameCounts() if current is None else current.run.counts

    @property
    def replaced(self) -> int:
        """Images since the last start that newer ones replaced before anybody looked at them."""
        current = self._current
        return 0 if current is None else current.mailbox.replaced

    def configure(self, settings: Settings) -> None:
        """Load the model. Raises what :class:`bharsdk.Recognizer` does."""
        with self._lock:
            self._expect("configure", State.UNCONFIGURED)
            self._recognizer = Recognizer(
                settings.model,
                backend=settings.backend,
                max_persons=settings.max_persons,
                score_threshold=settings.score_threshold,
            )
            self._state = State.INACTIVE

    def activate(self) -> None:
        """Begin to recognize, unless disabled. Raises BackendMissingError without MediaPipe."""
        with self._lock:
            self._expect("activate", State.INACTIVE)
            if self._enabled:
                self._start()
            self._state = State.ACTIVE

    def deactivate(self) -> None:
        """Stop; what had begun is reported as ended."""
        with self._lock:
            self._expect("deactivate", State.ACTIVE)
            self._stop()
            self._state = State.INACTIVE

    def cleanup(self) -> None:
        """Let go of the model; it counts as enabled again."""
        with self._lock:
            self._expect("clean up", State.INACTIVE)
            self._recognizer, self._enabled = None, True
            self._state = State.UNCONFIGURED

    def shutdown(self) -> None:
        """Stop for good. A second call does nothing."""
        with self._lock:
            self._stop()
            self._recognizer, self._state = None, State.FINALIZED

    def set_enabled(self, enabled: bool) -> None:
        """Switch on or off; possible between configure and cleanup.

        Off: what had begun is reported as ended. On: it starts with nothing seen yet, also after an
        error ended it. Of what is so already, nothing changes.
        """
        with self._lock:
            self._expect("enable or disable", State.INACTIVE, State.ACTIVE)
            if not enabled:
                self._stop()
            elif self._state is State.ACTIVE and not self.is_running:
                self._stop()
                self._start()
            self._enabled = enabled

    def on_image(self, image: Image, stamp_ns: int, frame_id: str) -> bool:
        """Hand over a picture, uint8 [height, width, 3] BGR; returns at once.

        It takes the place of one that waits. stamp_ns: nanoseconds, its capture time, increasing.
        Returns False where it is not wanted: not active, disabled, or ended by an error.
        """
        current = self._current
        return current is not None and current.mailbox.put(image, Stamped(stamp_ns, frame_id))

    def _expect(self, what: str, *states: State) -> None:
        if self._state not in states:
            expected = " or ".join(state.value for state in states)
            raise UsageError(f"cannot {what}: got state {self._state.value}, expected {expected}")

    def _start(self) -> None:
        assert self._recognizer is not None
        mailbox = Mailbox()
        landmarker = None if self._make_landmarker is None else self._make_landmarker()
        run = self._recognizer.run(
            mailbox, landmarker=landmarker, config=self._config, on_status=self._on_status
        )
        thread = threading.Thread(
            target=self._work, args=(run, mailbox, landmarker), name="bhar-ros", daemon=True
        )
        self._current = _Current(mailbox, run, thread)
        thread.start()

    def _work(self, run: Run, mailbox: Mailbox, landmarker: Landmarker | None) -> None:
        try:
            with run:
                for result in run:
                    self._on_result(StampedResult(mailbox.header_of(result.frame_number), result))
        except Exception as error:
            self._on_error(error)
        finally:
            if landmarker is not None:
                landmarker.close()

    def _stop(self) -> None:
        current, self._current = self._current, None
        if current is None:
            return
        # Its end makes a source report the events that are open; closing it would not.
        current.mailbox.end()
        current.thread.join(STOP_S)
        current.run.close()
        current.thread.join(STOP_S)


@dataclass(frozen=True, eq=False)
class _Current:
    """What is there while it recognizes."""

    mailbox: Mailbox
    run: Run
    thread: threading.Thread
