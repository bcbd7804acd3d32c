from __future__ import annotations

import dataclasses
import logging
import threading
from pathlib import Path

import numpy as np
import pytest

from bharsdk import Recognizer
from bharsdk.cameras.source_config import SourceConfig
from bharsdk.errors import InputError, UsageError
from bharsdk.landmarks.box import Box
from bharsdk.landmarks.landmarks import Landmarks, LandmarkSequence
from bharsdk.pipeline.board import StatusBoard
from bharsdk.pipeline.run import Callbacks
from bharsdk.pipeline.status import RunState, Status
from bharsdk.recognition.options import NamedOptions, RecognizerOptions
from bharsdk.recognition.results import Result


@pytest.fixture(scope="module")
def recognizer(presence_bundle: Path) -> Recognizer:
    return Recognizer(presence_bundle)


def test_a_run_starts_warms_runs_and_ends(recognizer: Recognizer, recording: LandmarkSequence):
    said: list[Status] = []
    with recognizer.run(recording, on_status=said.append) as run:
        list(run)
    assert [status.state for status in said] == [
        RunState.STARTING,
        RunState.WARMING,
        RunState.RUNNING,
        RunState.ENDED,
    ]
    assert run.status == said[-1]


def test_a_lost_source_is_reconnecting_until_it_is_back_or_over():
    """Frames that were under way still arrive meanwhile; they do not mean that all is well."""
    said: list[Status] = []
    board = StatusBoard(said.append)
    board.show(RunState.RUNNING)
    board.lose(InputError("gone"))
    for state in (RunState.WARMING, RunState.RUNNING, RunState.DEGRADED):
        board.show(state)
        assert board.status == Status(RunState.RECONNECTING, "gone")
    board.regain()
    board.show(RunState.RUNNING)
    assert board.status.state is RunState.RUNNING
    board.lose(InputError("gone again"))
    board.show(RunState.ERROR, "gone for good")
    board.regain()
    board.show(RunState.RUNNING)
    assert said[-1] == Status(RunState.ERROR, "gone for good")


def test_a_source_that_cannot_be_opened_says_so_to_the_callback_too(recognizer: Recognizer):
    said: list[Status] = []
    with pytest.raises(InputError, match=r"gone\.mp4"):
        recognizer.run("gone.mp4", on_status=said.append)
    assert [status.state for status in said] == [RunState.STARTING, RunState.ERROR]
    assert "gone.mp4" in said[-1].message


def test_a_callback_gets_every_result_in_a_thread_of_its_own(
    recognizer: Recognizer, recording: LandmarkSequence
):
    results: list[Result] = []
    threads = set()

    def callback(result: Result) -> None:
        threads.add(threading.current_thread().name)
        results.append(result)

    with recognizer.start(recording, callback) as running:
        assert running.join(30)
    assert threads == {"bhar-callbacks"}
    assert [r.timestamp_ms for r in results if not r.is_final] == list(recording.timestamps_ms)
    events = [event for result in results for event in result.events]
    assert events == [e for r in recognizer.run(recording) for e in r.events]


def test_an_error_in_a_callback_ends_the_run_and_is_raised_where_it_is_waited_for(
    recognizer: Recognizer, recording: LandmarkSequence
):
    def callback(result: Result) -> None:
        if result.frame_number == 5:
            raise ZeroDivisionError("in the callback")

    running = recognizer.start(recording, callback)
    with pytest.raises(ZeroDivisionError, match="in the callback"):
        running.join(30)
    assert running.run.status.state is RunState.ENDED
    assert running.run.counts.delivered == 6


@pytest.mark.parametrize("wrong", [None, 3, "print"])
def test_what_cannot_be_called_is_refused_before_anything_is_opened(
    recognizer: Recognizer, recording: LandmarkSequence, wrong: object
):
    """With what was got and what was expected; None would have been called for the first result."""
    for use in (
        lambda: recognizer.start("gone.mp4", wrong),  # type: ignore[arg-type]
        lambda: Callbacks(None, wrong),  # type: ignore[arg-type]
    ):
        with pytest.raises(InputError, match=r"on_result: got .*, expected a function"):
            use()
    if wrong is not None:
        with pytest.raises(InputError, match=r"on_status: got .*, expected a function"):
            recognizer.run(recording, on_status=wrong)  # type: ignore[arg-type]


def _fails(result: Result) -> None:
    raise ZeroDivisionError("in the callback")


def _errors(caplog: pytest.LogCaptureFixture) -> list[logging.LogRecord]:
    return [record for record in caplog.records if record.levelno == logging.ERROR]


def test_an_error_in_a_callback_that_nobody_waits_for_is_logged_once_with_its_traceback(
    recognizer: Recognizer, recording: LandmarkSequence, caplog: pytest.LogCaptureFixture
):
    running = recognizer.start(recording, _fails)
    running._thread.join(30)
    running.close()
    (record,) = _errors(caplog)
    assert record.exc_info is not None
    assert "in the callback" in str(record.exc_info[1])
    with pytest.raises(ZeroDivisionError):  # whoever asks later still gets it
        running.join(30)
    assert running.join(30)
    assert len(_errors(caplog)) == 1


def test_an_error_in_a_callback_that_somebody_waits_for_is_raised_and_not_logged(
    recognizer: Recognizer, recording: LandmarkSequence, caplog: pytest.LogCaptureFixture
):
    waits = threading.Event()

    def fails(result: Result) -> None:
        while not waits.is_set() or not running._calls._waiting:
            waits.wait(0.01)
        _fails(result)

    running = recognizer.start(recording, fails)
    waits.set()
    with pytest.raises(ZeroDivisionError, match="in the callback"):
        running.join(30)
    assert not _errors(caplog)


def test_a_run_with_callbacks_that_ends_with_an_error_of_ours_says_its_line(
    recognizer: Recognizer, recording: LandmarkSequence, caplog: pytest.LogCaptureFixture
):
    def broken() -> object:
        yield from list(recording.frames())[:3]
        raise UsageError("the robot fell over")

    running = recognizer.start(broken(), lambda result: None)  # type: ignore[arg-type]
    running._thread.join(30)
    (record,) = _errors(caplog)
    assert "the robot fell over" in record.getMessage()
    assert record.exc_info is None


def test_a_lost_source_is_a_warning_also_to_who_asked_for_no_states(
    caplog: pytest.LogCaptureFixture,
):
    """Frames that are dropped are one the first time; other states are not."""
    board = StatusBoard()
    board.show(RunState.RUNNING)
    for _ in range(3):
        board.show(RunState.DEGRADED, "70 % of the frames dropped")
        board.show(RunState.RUNNING)
    board.lose(InputError("gone"))
    board.regain()
    board.show(RunState.RUNNING)
    board.lose(InputError("gone again"))
    said = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert said == [
        "degraded: 70 % of the frames dropped",
        "reconnecting: gone",
        "reconnecting: gone again",
    ]


def test_closing_a_running_callback_stops_it(recognizer: Recognizer, recording: LandmarkSequence):
    begun, seen = threading.Event(), []

    def endless() -> object:
        for number in range(10_000_000):
            frame = recording.frames()
            yield Landmarks(number * 10.0, next(frame).body, recording.hands[0])

    def callback(result: Result) -> None:
        seen.append(result.frame_number)
        begun.set()

    running = recognizer.start(endless(), callback)  # type: ignore[arg-type]
    assert begun.wait(30)
    running.close()
    count = len(seen)
    assert running.join(1)
    assert len(seen) == count


def test_a_source_may_be_limited_and_ends_as_at_its_own_end(
    recognizer: Recognizer, recording: LandmarkSequence
):
    part = LandmarkSequence.from_frames(list(recording.frames())[:60])
    whole = [e for r in recognizer.run(part) for e in r.events]
    with recognizer.run(recording, config=SourceConfig(max_frames=60)) as run:
        assert run.frame_count == 60
        assert [event for result in run for event in result.events] == whole
    assert run.counts.captured == 60


def test_pictures_of_any_iterable_are_a_source(recognizer: Recognizer):
    class Found:
        closed = False

        def detect(self, image: np.ndarray, timestamp_ms: float) -> tuple[Landmarks, ...]:
            return (Landmarks.empty(timestamp_ms, 2.0),)

        def close(self) -> None:
            self.closed = True

    landmarker = Found()
    pictures = ((np.zeros((20, 40, 3), np.uint8), 100.0 * i) for i in range(5))
    results = list(recognizer.run(pictures, landmarker=landmarker))
    assert [r.timestamp_ms for r in results] == [0.0, 100.0, 200.0, 300.0, 400.0]
    assert results[0].aspect == 2.0
    assert results[0].image is not None
    assert not landmarker.closed
    with pytest.raises(InputError, match=r"float64 \[20, 40, 3\] as picture 0"):
        list(recognizer.run([(np.zeros((20, 40, 3)), 0.0)], landmarker=landmarker))


def test_an_empty_iterable_gives_nothing(recognizer: Recognizer):
    assert list(recognizer.run([])) == []


def test_an_exception_of_the_source_reaches_the_loop(
    recognizer: Recognizer, recording: LandmarkSequence
):
    def broken() -> object:
        yield from list(recording.frames())[:3]
        raise UsageError("the robot fell over")

    run = recognizer.run(broken())  # type: ignore[arg-type]
    assert [next(run).frame_number for _ in range(3)] == [0, 1, 2]
    with pytest.raises(UsageError, match="fell over"):
        next(run)
    assert run.status == Status(RunState.ERROR, "the robot fell over")


def test_a_box_holds_all_joints_and_stays_in_the_image():
    body = np.full((33, 4), 0.5, np.float32)
    body[0, :2] = (0.2, -0.4)
    hands = np.full((2, 21, 3), np.nan, np.float32)
    hands[1] = 0.75
    assert Box.around(Landmarks(0.0, body, hands)) == Box(
        pytest.approx(0.2), 0.0, pytest.approx(0.75), pytest.approx(0.75)
    )
    assert Box.around(Landmarks.empty(0.0)) is None


def test_options_are_known_to_type_checkers_by_the_names_they_have():
    names = {field.name for field in dataclasses.fields(RecognizerOptions)}
    assert set(NamedOptions.__annotations__) == names
