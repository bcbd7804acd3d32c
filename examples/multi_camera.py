"""Several cameras with one model: prints the events of all cameras in order of time.

    python examples/multi_camera.py 0 door=rtsp://door.local/stream
    python examples/multi_camera.py examples/data/sessions/*.bhar-session

All sources share one Recognizer. Each source has its own run, with its own landmarker and threads.
If a source fails, the program reports it and goes on with the others.
"""

from __future__ import annotations

import argparse
import math
import sys
import threading
import time
from collections.abc import Callable, Sequence

from bharsdk import (
    BharError,
    Callbacks,
    Event,
    Recognizer,
    Result,
    Run,
    RunState,
    Status,
    UsageError,
    exit_code_of,
)

HOLD_BACK_S = 1.0
"""Events of the other cameras wait for a silent camera at most this long. They wait for a file
without limit, because a file has no clock."""
TICK_S = 0.05


def main(argv: Sequence[str] | None = None) -> int:
    """Run until Ctrl-C or until all sources end; return the exit code of the first failure."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "sources", nargs="+", metavar="[NAME=]SOURCE", help="camera number, address or file"
    )
    parser.add_argument("--model", default="asl-coffee", help="default %(default)s")
    arguments = parser.parse_args(argv)
    return exit_code_of(
        lambda: watch_all(Recognizer(arguments.model), _named(arguments.sources)),
        "multi_camera",
        extra="camera",
    )


def watch_all(recognizer: Recognizer, sources: dict[str, str]) -> int:
    """Print the events of all ``sources``; return 0, or the exit code of the first failure."""
    merged = MergedEvents()
    begin_s = time.monotonic()
    cameras = [Camera(name, source, merged, begin_s) for name, source in sources.items()]
    try:
        for camera in cameras:
            camera.start(recognizer)
        while any(camera.is_running for camera in cameras):
            merged.show_ready()
            time.sleep(TICK_S)
    except KeyboardInterrupt:
        print("multi_camera: interrupted", file=sys.stderr)
    finally:
        for camera in cameras:
            camera.close()
        merged.show_all()
    failed = [camera.error for camera in cameras if camera.error is not None]
    return failed[0].exit_code if failed else 0


class Camera:
    """One source and its run."""

    def __init__(self, name: str, source: str, merged: MergedEvents, begin_s: float) -> None:
        self.name, self._source = name, source
        self._merged, self._begin_s = merged, begin_s
        self._running: Callbacks | None = None
        self._run: Run | None = None
        self.error: BharError | None = None

    def start(self, recognizer: Recognizer) -> None:
        """Open the source. If that fails, keep the error in ``error`` and go on."""
        try:
            self._run = recognizer.run(self._source, on_status=self._on_status)
            self._merged.add(self.name, HOLD_BACK_S if self._run.is_live else math.inf)
            self._running = Callbacks(self._run, self._on_result)
        except BharError as error:
            self._fail(error)

    @property
    def is_running(self) -> bool:
        """Whether the source may still bring events."""
        if self._running is None:
            return False
        try:
            ended = self._running.join(0.0)
        except BharError as error:
            self._fail(error)
            ended = True
        if ended:
            self._merged.end(self.name)
        return not ended

    def close(self) -> None:
        """Release the camera. A second call does nothing."""
        if self._running is not None:
            self._running.close()
        self._merged.end(self.name)

    def _on_result(self, result: Result) -> None:
        self._merged.put(self.name, self._time_ms(result), result.events)

    def _time_ms(self, result: Result) -> float:
        """Return the time of a result on the common clock, or in its file, in milliseconds."""
        assert self._run is not None
        if not self._run.is_live:
            return result.timestamp_ms
        return (time.monotonic() - self._begin_s) * 1000.0 - result.age_ms

    def _on_status(self, status: Status) -> None:
        if status.state in (RunState.RECONNECTING, RunState.DEGRADED):
            print(f"{self.name}: {status}", flush=True)

    def _fail(self, error: BharError) -> None:
        self.error = error
        self._running = None
        self._merged.end(self.name)
        print(f"{self.name}: failed: {error}", flush=True)


class MergedEvents:
    """Events of several cameras, sorted by time. Any number of threads may use it.

    An event is ready when no camera can bring an earlier one: each camera has reached its time, has
    ended, or was silent for too long. clock: returns seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._reached_ms: dict[str, float] = {}
        self._heard_s: dict[str, float] = {}
        self._patience_s: dict[str, float] = {}
        self._waiting: list[tuple[float, str, Event]] = []

    def add(self, name: str, patience_s: float) -> None:
        """Add a camera. patience_s: how long the others wait for it when it is silent."""
        with self._lock:
            self._patience_s[name] = patience_s
            self._reached_ms[name], self._heard_s[name] = -math.inf, self._clock()

    def put(self, name: str, time_ms: float, events: Sequence[Event]) -> None:
        """Add the events of a camera at ``time_ms``, which increases from call to call."""
        with self._lock:
            self._reached_ms[name], self._heard_s[name] = time_ms, self._clock()
            self._waiting += [(time_ms, name, event) for event in events]

    def end(self, name: str) -> None:
        """Note that a camera brings nothing more. Does nothing for an unknown camera."""
        with self._lock:
            if name in self._reached_ms:
                self._reached_ms[name] = math.inf

    def ready(self) -> list[tuple[float, str, Event]]:
        """Return the events that are ready, as (milliseconds, camera, event), in order of time."""
        with self._lock:
            now_s = self._clock()
            reached_ms = [
                time_ms
                for name, time_ms in self._reached_ms.items()
                if now_s - self._heard_s[name] <= self._patience_s[name]
            ]
            until_ms = min(reached_ms, default=math.inf)
            ready = sorted((item for item in self._waiting if item[0] <= until_ms), key=_order)
            self._waiting = [item for item in self._waiting if item[0] > until_ms]
            return ready

    def show_ready(self) -> None:
        """Print the events that are ready."""
        for time_ms, name, event in self.ready():
            print(f"{time_ms / 1000:7.2f} s  {name:<10} {event}", flush=True)

    def show_all(self) -> None:
        """Print all events that are left, without waiting for any camera."""
        for name in list(self._reached_ms):
            self.end(name)
        self.show_ready()


def _order(item: tuple[float, str, Event]) -> tuple[float, str]:
    return item[:2]


def _named(sources: Sequence[str]) -> dict[str, str]:
    """Return sources by name, from NAME=SOURCE or SOURCE. An address may hold ``=`` itself."""
    named: dict[str, str] = {}
    for number, text in enumerate(sources):
        name, separator, source = text.partition("=")
        if not separator or not name.isidentifier():
            name, source = f"camera {number}", text
        if name in named:
            raise UsageError(f"got two sources named {name!r}, expected a name for each")
        named[name] = source
    return named


if __name__ == "__main__":
    sys.exit(main())
