"""A robot that takes orders by signs: a control loop to copy.

    python examples/robot_loop.py                                   the first camera
    python examples/robot_loop.py examples/data/sessions/s2-a.bhar-session

::

    camera -> recognizer (threads of its own) -> Eyes: events in a queue, state, time of last result
                                                   |
                 control loop, 20 times a second --+--> robot.move() or robot.hold(reason)

The loop never waits for the recognizer. A robot that cannot see a stop sign must not move. So it
moves only while the recognizer is RUNNING and the last result is fresh; otherwise it stands still
and says why. If the state stays DEGRADED, the machine is too slow for the camera: set a lower
frame rate.
"""

from __future__ import annotations

import argparse
import contextlib
import enum
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence

from bharsdk import (
    Event,
    EventPhase,
    Recognizer,
    Result,
    RunState,
    Status,
    exit_code_of,
)

RATE_HZ = 20.0
FRESH_S = 0.5
"""A result that is older than this says nothing about now."""


class Action(enum.Enum):
    """What a sign means to this robot."""

    HALT = "halt"
    GO = "go"
    ORDER = "order"


ACTIONS = {
    "no": Action.HALT,
    "please": Action.GO,
    **dict.fromkeys(("coffee", "tea", "water", "muffin"), Action.ORDER),
    **dict.fromkeys(("small", "medium", "large"), Action.ORDER),
}
"""Labels of asl-coffee; the robot ignores all others."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C, SIGTERM or the end of a file; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", nargs="?", default="0", help="camera, address or file; default 0")
    parser.add_argument("--model", default="asl-coffee", help="default %(default)s")
    arguments = parser.parse_args(argv)
    return exit_code_of(lambda: work(arguments), "robot_loop", extra="camera")


def work(arguments: argparse.Namespace) -> None:
    """Start the recognizer and run the loop. The robot stands still at the end in any case."""
    recognizer, robot, eyes = Recognizer(arguments.model), Robot(), Eyes()
    with stop_on_signals() as stop:
        try:
            with recognizer.start(
                arguments.source, eyes.on_result, on_status=eyes.on_status
            ) as running:
                eyes.is_live = running.run.is_live
                control(robot, eyes, stop)
                if not stop.is_set():
                    running.join()  # raises what ended the source
        finally:
            robot.hold("the program ends")


class Robot:
    """A stand-in for your robot: it prints what it does when that changes."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.steps = 0
        self._doing = ""

    def move(self) -> None:
        """Make one step of a movement. Called at each tick at which the robot may move."""
        self.steps += 1
        self._say("moves")

    def hold(self, reason: str) -> None:
        """Stand still. Called at each tick at which the robot must not move."""
        self._say(f"holds: {reason}")

    def add(self, item: str) -> None:
        """Add an item to the order."""
        self.order.append(item)
        print(f"robot: order is {' '.join(self.order)}", flush=True)

    def _say(self, doing: str) -> None:
        if doing != self._doing:
            self._doing = doing
            print(f"robot: {doing}", flush=True)


class Eyes:
    """What the recognizer last reported. The loop reads it at any time, without waiting.

    clock: returns seconds. is_live: True for a camera, whose results grow old.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._status = Status(RunState.STARTING)
        self._seen_s = -float("inf")
        self.is_live = True

    def on_result(self, result: Result) -> None:
        """Keep the events of a result. A thread of the recognizer calls it, so be quick."""
        self._seen_s = self._clock() - result.age_ms / 1000.0
        for event in result.events:
            self._events.put(event)

    def on_status(self, status: Status) -> None:
        """Keep the new state. A thread of the recognizer calls it, so be quick."""
        self._status = status

    def new_events(self) -> list[Event]:
        """Return the events since the last call, without waiting."""
        events = []
        while True:
            try:
                events.append(self._events.get_nowait())
            except queue.Empty:
                return events

    @property
    def has_ended(self) -> bool:
        """Whether the recognizer has ended and brings no more events."""
        return self._status.state in (RunState.ENDED, RunState.ERROR)

    @property
    def blind(self) -> str | None:
        """Why the robot would not see a stop sign now; None if it would."""
        if self._status.state is not RunState.RUNNING:
            return str(self._status)
        if self.is_live and self._clock() - self._seen_s > FRESH_S:
            return "nothing seen for half a second"
        return None


def control(robot: Robot, eyes: Eyes, stop: threading.Event) -> None:
    """Run until ``stop`` is set, or until the source has ended and all events are handled."""
    halted: str | None = None
    next_s = time.monotonic()
    while not stop.is_set():
        ended = eyes.has_ended  # read before the events, so that no event is lost
        for event in eyes.new_events():
            halted = react(robot, event, halted)
        if ended:
            return
        reason = halted or eyes.blind
        if reason is None:
            robot.move()
        else:
            robot.hold(reason)
        # After a tick that took too long there is no burst of short ones.
        next_s = max(next_s + 1.0 / RATE_HZ, time.monotonic())
        stop.wait(next_s - time.monotonic())


def react(robot: Robot, event: Event, halted: str | None) -> str | None:
    """Do what ``event`` means. Return why the robot is halted from now on, or None.

    The robot halts at the START of a sign: too early is better than too late. For all other signs
    it waits for the END.
    """
    action = ACTIONS.get(event.label)
    if action is Action.HALT:
        return f"halted by {event.label!r} ({event.score:.2f})"
    if event.phase is EventPhase.END:
        if action is Action.GO:
            return None
        if action is Action.ORDER:
            robot.add(event.label)
    return halted


@contextlib.contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """Yield an event that Ctrl-C and SIGTERM set.

    The loop then ends at its next tick, so no movement is cut off in the middle.
    """
    stop = threading.Event()
    before = {
        number: signal.signal(number, lambda *_: stop.set())
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


if __name__ == "__main__":
    sys.exit(main())
