"""Closing what others wrote: in time, with what it raises, and at the end of the process too."""

from __future__ import annotations

import subprocess
import sys
import threading

import pytest

from bharsdk.pipeline.board import StatusBoard
from bharsdk.pipeline.status import RunState, Status
from bharsdk.process.closeable import Countdown, close_aside


def test_what_hangs_is_left_behind_with_its_name(caplog: pytest.LogCaptureFixture):
    released = threading.Event()
    assert not close_aside(lambda: released.wait(60), "the arm of the robot", 0.01)
    released.set()
    assert "the arm of the robot has not returned in time" in caplog.text


def test_what_it_raises_is_raised_here():
    def fails() -> None:
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged"):
        close_aside(fails, "it")
    closed: list[int] = []
    assert close_aside(lambda: closed.append(1), "it")
    assert closed == [1]


def test_where_no_thread_can_start_any_more_it_is_done_at_once(monkeypatch: pytest.MonkeyPatch):
    """As while the interpreter of Python 3.12 goes."""

    def refuses(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    said: list[Status] = []
    board = StatusBoard(said.append)
    monkeypatch.setattr(threading.Thread, "start", refuses)
    closed: list[int] = []
    assert close_aside(lambda: closed.append(1), "it")
    assert closed == [1]
    board.end(10.0)
    assert said[-1] == Status(RunState.ENDED)


def test_a_countdown_ends_at_zero():
    assert Countdown(-1.0).left_s == 0.0
    assert 0 < Countdown(60.0).left_s <= 60


PROGRAM = """
import sys, threading
import numpy as np
from bharsdk import Recognizer
class Hangs:
    reached = threading.Event()
    def detect(self, image, timestamp_ms):
        self.reached.set()
        threading.Event().wait()
    def close(self): ...
picture = np.zeros((36, 64, 3), np.uint8)
recognizer = Recognizer("asl-coffee-prgcn", backend="native")
run = recognizer.run([(picture, 0.0), (picture, 1.0)], landmarker=Hangs())
Hangs.reached.wait(60)
{end}
"""


@pytest.mark.parametrize("end", ["run.close()", "", "del run", "raise SystemExit(0)"])
def test_a_program_ends_though_a_landmarker_hangs(end: str):
    """Closed, forgotten or neither: one warning that names the landmarker, and no traceback."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM.format(end=end)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    (line,) = done.stderr.splitlines()
    assert "the landmarker Hangs has not returned in time" in line
