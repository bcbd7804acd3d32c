"""A robot that takes orders by signs: what to copy into a control loop.

    python examples/robot_loop.py                                   the first camera
    python examples/robot_loop.py examples/data/sessions/s2-a.bhar-session

::

    camera -> recognizer (threads of its own) -> Eyes: events in a queue, state, time of last result
                                                   |
                 control loop, 20 times a second --+--> robot.move() or robot.hold(reason)

The loop never waits for the recognizer. A robot that cannot see a stop sign must not move, so it
moves only while the recognizer runs and its last result is fresh; it says why it holds. A machine
that drops most of its frames is DEGRADED for good: ask its camera for fewer.
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

from bharsdk import Event, Recognizer, Result
from bharsdk.cli.exit_codes import exit_code_of
from bharsdk.errors import assert_never
from bharsdk.events import EventPhase
from bharsdk.pipeline.status import RunState, Status

RATE_HZ = 20.0
FRESH_S = 0.5
"""What was seen longer ago than this says nothing about now."""


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
"""The labels of asl-coffee; all others mean nothing to it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C, SIGTERM or the end of a file; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("source", nargs="?", default="0", help="camera, address or file; default 0")
    parser.add_argument("--model", default="asl-coffee", help="default %(default)s")
    arguments = parser.parse_args(argv)
    return exit_code_of(lambda: work(arguments), "robot_loop", extra="camera")


def work(arguments: argparse.Namespace) -> None:
    """Start the eyes, run the loop, and end with a robot that stands still, whatever happens."""
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
    """Stands for yours: says what it does when that changes."""

    def __init__(self) -> None:
        self.order: list[str] = []
        self.steps = 0
        self._doing = ""

    def move(self) -> None:
        """One step of a movement; called at every tick in which it may move."""
        self.steps += 1
        self._say("moves")

    def hold(self, reason: str) -> None:
        """Stand still; called at every tick in which it must not move."""
        self._say(f"holds: {reason}")

    def add(self, item: str) -> None:
        """Note a part of the order."""
        self.order.append(item)
        print(f"robot: order is {' '.join(self.order)}", flush=True)

    def _say(self, doing: str) -> None:
        if doing != self._doing:
            self._doing = doing
            print(f"robot: {doing}", flush=True)


class Eyes:
    """What the recognizer's threads tell, for the loop to read at any time.

    clock: seconds. is_live: whether the source is a camera, whose results grow old.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self._status = Status(RunState.STARTING)
        self._seen_s = -float("inf")
        self.is_live = True

    def on_result(self, result: Result) -> None:
        """Called for every result: be quick. A result that comes late loses no event."""
        self._seen_s = self._clock() - result.age_ms / 1000.0
        for event in result.events:
            self._events.put(event)

    def on_status(self, status: Status) -> None:
        """Called when the state changes, by any thread: be quick."""
        self._status = status

    def new_events(self) -> list[Event]:
        """What came since the last call; never waits."""
        events = []
        while True:
            try:
                events.append(self._events.get_nowait())
            except queue.Empty:
                return events

    @property
    def has_ended(self) -> bool:
        """Whether no more events will come than those that wait."""
        return self._status.state in (RunState.ENDED, RunState.ERROR)

    @property
    def blind(self) -> str | None:
        """Why a stop sign would not be seen now; None: it would."""
        state = self._status.state
        match state:
            case RunState.RUNNING:
                age_s = self._clock() - self._seen_s
                if self.is_live and age_s > FRESH_S:
                    return "nothing seen for half a second"
                return None
            case (
                RunState.STARTING
                | RunState.WARMING
                | RunState.DEGRADED
                | RunState.RECONNECTING
                | RunState.ENDED
                | RunState.ERROR
            ):
                return str(self._status)
            case _:
                assert_never(state)


def control(robot: Robot, eyes: Eyes, stop: threading.Event) -> None:
    """The loop, until ``stop`` is set or the source has ended and all its events were handled."""
    halted: str | None = None
    next_s = time.monotonic()
    while not stop.is_set():
        ended = eyes.has_ended  # asked before the events: what comes in between is handled
        for event in eyes.new_events():
            halted = react(robot, event, halted)
        if ended:
            return
        reason = halted or eyes.blind
        if reason is None:
            robot.move()
        else:
            robot.hold(reason)
        # A tick that took too long is not made up for by a burst of short ones.
        next_s = max(next_s + 1.0 / RATE_HZ, time.monotonic())
        stop.wait(next_s - time.monotonic())


def react(robot: Robot, event: Event, halted: str | None) -> str | None:
    """Do what ``event`` means; returns why the robot is halted from now on, None if it is not.

    A halt counts from the START of its sign: too early is better than too late. All others count
    from their END.
    """
    action = ACTIONS.get(event.label)
    if action is None:
        return halted
    match action:
        case Action.HALT:
            return f"halted by {event.label!r} ({event.score:.2f})"
        case Action.GO:
            return None if event.phase is EventPhase.END else halted
        case Action.ORDER:
            if event.phase is EventPhase.END:
                robot.add(event.label)
            return halted
        case _:
            assert_never(action)


@contextlib.contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, for one block.

    The loop ends at its next tick; nothing is cut off in the middle of a movement.
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
