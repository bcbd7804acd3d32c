"""Closing ends in time, whatever a source, a landmarker or a callback does."""

from __future__ import annotations

import logging
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from bharsdk import Recognizer
from bharsdk.cameras.pictures import CapturedImage
from bharsdk.events import DropCause
from bharsdk.landmarks.frame import Frame
from bharsdk.landmarks.landmarks import Landmarks, LandmarkSequence
from bharsdk.pipeline.run import Run
from bharsdk.pipeline.status import RunState, Status
from bharsdk.recognition.results import Result
from bharsdk.recordings.session_file import load_session
from bharsdk.sources.opening import open_source
from bharsdk.sources.source import Source
from bharsdk.values.image import Image

from .conftest import KnownLandmarker, NumberedPictures, OverlappingLandmarker, number_of

TIMES = [100.0 * number for number in range(50)]
SOON_S = 5.0
"""Within a second, on a machine that has other things to do."""


class Stuck:
    """Something that does not return before the test is over."""

    def __init__(self) -> None:
        self.reached, self._released = threading.Event(), threading.Event()

    def __call__(self, *_: object) -> None:
        self.reached.set()
        self._released.wait(60)

    def release(self) -> None:
        self._released.set()


@pytest.fixture
def stuck() -> Iterator[Stuck]:
    one = Stuck()
    yield one
    one.release()


def _at(number: int, stuck: Stuck) -> Callable[[int], None]:
    return lambda now: stuck() if now == number else None


def _closes_soon(thing: object) -> None:
    begin_s = time.monotonic()
    thing.close()  # type: ignore[attr-defined]
    assert time.monotonic() - begin_s < SOON_S


def _adds_up(run: Run) -> None:
    counts = run.counts
    assert counts.pending == 0
    assert counts.captured == counts.delivered + counts.total_dropped


def _warnings(caplog: pytest.LogCaptureFixture) -> str:
    found = [r.getMessage() for r in caplog.records if r.levelno == logging.WARNING]
    assert len(found) <= 1, found
    return found[0] if found else ""


def test_a_source_that_does_not_return_from_a_read_is_left_to_its_thread(
    recognizer: Recognizer,
    waving: LandmarkSequence,
    stuck: Stuck,
    caplog: pytest.LogCaptureFixture,
):
    pictures = NumberedPictures(TIMES, is_live=True, before=_at(5, stuck))
    landmarker = KnownLandmarker(waving)
    run = recognizer.run(pictures, landmarker=landmarker)
    assert stuck.reached.wait(20)
    _closes_soon(run)
    assert "the source numbered" in _warnings(caplog)
    assert run.status == Status(RunState.ENDED)
    _adds_up(run)
    assert pictures.closed == 0
    left = weakref.ref(run), weakref.ref(landmarker)
    del run, landmarker
    assert [part() for part in left] == [None, None], "the thread that hangs holds the run"
    stuck.release()
    _wait_for(lambda: pictures.closed == 1)


def _wait_for(condition: Callable[[], bool]) -> None:
    until_s = time.monotonic() + 20
    while not condition() and time.monotonic() < until_s:
        time.sleep(0.005)
    assert condition()


class StuckToSend(OverlappingLandmarker):
    """As OverlappingLandmarker, which asks in receive(), but asking in send()."""

    def send(self, image: Image, timestamp_ms: float) -> None:
        self._before(number_of(image))
        super().send(image, timestamp_ms)

    def receive(self) -> tuple[Landmarks, ...]:
        before, self._before = self._before, lambda number: None
        try:
            return super().receive()
        finally:
            self._before = before


@pytest.mark.parametrize("kind", [KnownLandmarker, OverlappingLandmarker, StuckToSend])
def test_a_landmarker_that_hangs_costs_neither_the_recording_nor_the_counts(
    recognizer: Recognizer,
    waving: LandmarkSequence,
    stuck: Stuck,
    kind: type[KnownLandmarker],
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
):
    """In detect() as in receive(); and what it finds when it returns is nobody's any more."""
    landmarker = kind(waving)
    landmarker._before = _at(7, stuck)
    path = tmp_path / "a.bhar-session"
    pictures = NumberedPictures(TIMES)
    run = recognizer.run(pictures, landmarker=landmarker, record=path)
    seen = [next(run).frame_number for _ in range(5)]
    assert stuck.reached.wait(20)
    _closes_soon(run)
    assert f"the landmarker {kind.__name__}" in _warnings(caplog)
    assert pictures.closed == 1
    assert seen == [0, 1, 2, 3, 4]
    frames = len(load_session(path))
    assert 5 <= frames <= 7
    _adds_up(run)
    counts = run.counts
    stuck.release()
    _no_threads_are_left()
    assert run.counts == counts
    assert len(load_session(path)) == frames


def _no_threads_are_left() -> None:
    _wait_for(lambda: not any(t.name.startswith("bhar-") for t in threading.enumerate()))


def test_a_landmarker_of_the_run_is_closed_under_a_thread_that_waits_for_it(
    recognizer: Recognizer, waving: LandmarkSequence, monkeypatch: pytest.MonkeyPatch
):
    """As MediaPipe's: close() ends receive(). So nothing is left behind."""
    waits, closed = threading.Event(), threading.Event()

    class EndsWhenClosed(OverlappingLandmarker):
        def receive(self) -> tuple[Landmarks, ...]:
            waits.set()
            closed.wait(60)
            raise RuntimeError("closed")

        def close(self) -> None:
            closed.set()

    monkeypatch.setattr(
        "bharsdk.recognizer.opened_landmarker", lambda *_: (EndsWhenClosed(waving), True)
    )
    run = recognizer.run(NumberedPictures(TIMES))
    assert waits.wait(20)
    _closes_soon(run)
    _no_threads_are_left()
    _adds_up(run)


class StubbornPictures(NumberedPictures):
    """Whatever is asked of them hangs."""

    def __init__(self, stuck: Stuck) -> None:
        super().__init__(TIMES, is_live=True)
        self.interrupt = stuck  # type: ignore[method-assign, assignment]
        self.close = stuck  # type: ignore[method-assign, assignment]


def test_interrupting_and_closing_a_source_may_hang_too(
    recognizer: Recognizer, waving: LandmarkSequence, stuck: Stuck
):
    run = recognizer.run(StubbornPictures(stuck), landmarker=KnownLandmarker(waving))
    next(run)
    _closes_soon(run)
    _adds_up(run)
    frames = open_source(StubbornPictures(stuck), KnownLandmarker(waving))
    next(iter(frames))
    _closes_soon(frames)


def test_a_source_of_frames_may_hang_as_it_is_closed(
    recognizer: Recognizer, waving: LandmarkSequence, stuck: Stuck
):
    _closes_soon(Source(iter(()), stuck))
    run = recognizer.run(Source(map(Frame.of, waving.frames()), stuck))
    next(run)
    _closes_soon(run)
    _adds_up(run)


def test_what_closing_a_source_raises_is_raised():
    def fails() -> None:
        raise OSError("unplugged")

    with pytest.raises(OSError, match="unplugged"):
        Source(iter(()), fails).close()


def test_a_callback_that_hangs_is_left_behind_and_not_called_again(
    recognizer: Recognizer,
    waving: LandmarkSequence,
    stuck: Stuck,
    caplog: pytest.LogCaptureFixture,
):
    calls: list[int] = []

    def callback(result: Result) -> None:
        calls.append(result.frame_number)
        stuck()

    running = recognizer.start(waving, callback)
    assert stuck.reached.wait(20)
    _closes_soon(running)
    assert "the callback on_result" in _warnings(caplog)
    assert running.run.status.state is RunState.ENDED
    _closes_soon(running)  # a second time, and nothing more is said
    assert _warnings(caplog)
    stuck.release()
    assert running.join(20)
    assert len(calls) == 1


@pytest.mark.parametrize("close", ["the run", "the callbacks"])
@pytest.mark.parametrize("source", ["landmarks", "pictures"])
def test_a_callback_may_close_what_calls_it(
    recognizer: Recognizer,
    waving: LandmarkSequence,
    close: str,
    source: str,
    caplog: pytest.LogCaptureFixture,
):
    calls: list[int] = []
    started = threading.Event()

    def callback(result: Result) -> None:
        calls.append(result.frame_number)
        started.wait(20)
        (running if close == "the callbacks" else running.run).close()

    given = waving if source == "landmarks" else NumberedPictures(TIMES, is_live=True)
    landmarker = None if source == "landmarks" else KnownLandmarker(waving)
    running = recognizer.start(given, callback, landmarker=landmarker)
    started.set()
    assert running.join(20)
    assert len(calls) == 1
    assert not _warnings(caplog)
    _adds_up(running.run)


def test_status_callbacks_may_hang_close_and_raise(
    recognizer: Recognizer,
    waving: LandmarkSequence,
    stuck: Stuck,
    caplog: pytest.LogCaptureFixture,
):
    """The state can be asked for meanwhile, and the one that hangs is not called any more."""
    said: list[RunState] = []

    def hangs(status: Status) -> None:
        said.append(status.state)
        if status.state is RunState.WARMING:
            stuck()

    running = recognizer.start(waving, lambda result: None, on_status=hangs)
    assert stuck.reached.wait(20)
    assert running.run.status.state is RunState.WARMING
    _closes_soon(running)
    assert any("the callback on_status" in record.getMessage() for record in caplog.records)
    stuck.release()
    assert running.join(20)
    assert said == [RunState.STARTING, RunState.WARMING]


def test_a_status_callback_that_hangs_in_the_end_does_not_hold_it_up(
    recognizer: Recognizer, waving: LandmarkSequence, stuck: Stuck
):
    run = recognizer.run(
        waving, on_status=lambda status: stuck() if status.state is RunState.ENDED else None
    )
    next(run)
    _closes_soon(run)


def test_a_status_callback_may_close_the_run(recognizer: Recognizer, waving: LandmarkSequence):
    said: list[RunState] = []

    def closes(status: Status) -> None:
        said.append(status.state)
        if status.state is RunState.WARMING:
            run.close()

    pictures = NumberedPictures(TIMES, is_live=True)
    run = recognizer.run(pictures, landmarker=KnownLandmarker(waving), on_status=closes)
    list(run)
    assert said == [RunState.STARTING, RunState.WARMING, RunState.ENDED]
    assert pictures.closed == 1
    _adds_up(run)


def test_a_status_callback_that_raises_is_said_once_and_ends_nothing(
    recognizer: Recognizer, waving: LandmarkSequence, caplog: pytest.LogCaptureFixture
):
    said: list[RunState] = []

    def raises(status: Status) -> None:
        said.append(status.state)
        raise ZeroDivisionError("in on_status")

    with recognizer.run(waving, on_status=raises) as run:
        assert len([result for result in run if not result.is_final]) == len(waving)
    assert said == [RunState.STARTING, RunState.WARMING, RunState.RUNNING, RunState.ENDED]
    (record,) = [r for r in caplog.records if r.levelno == logging.ERROR]
    assert record.exc_info is not None
    assert "in on_status" in str(record.exc_info[1])


def test_a_source_may_close_the_run_that_reads_it(recognizer: Recognizer, waving: LandmarkSequence):
    """From its own thread, which cannot wait for itself."""

    class Closes(NumberedPictures):
        def __iter__(self) -> Iterator[CapturedImage]:
            for number, picture in enumerate(super().__iter__()):
                if number == 3:
                    ready.wait(20)
                    run.close()
                yield picture

    ready = threading.Event()
    pictures = Closes(TIMES)
    run = recognizer.run(pictures, landmarker=KnownLandmarker(waving))
    ready.set()
    list(run)
    _no_threads_are_left()
    assert pictures.closed == 1
    _adds_up(run)
    assert run.counts.dropped.keys() <= {DropCause.CLOSED}


def test_a_landmarker_may_close_the_run_that_asks_it(
    recognizer: Recognizer, waving: LandmarkSequence
):
    ready = threading.Event()

    def closes(number: int) -> None:
        if number == 3:
            ready.wait(20)
            run.close()

    landmarker = KnownLandmarker(waving, before=closes)
    run = recognizer.run(NumberedPictures(TIMES), landmarker=landmarker)
    ready.set()
    list(run)
    _no_threads_are_left()
    _adds_up(run)


def test_mediapipe_s_landmarker_closes_though_its_graph_hangs(
    stuck: Stuck, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    graphs = pytest.importorskip("bharsdk.landmarkers.mediapipe_graph")

    class Graph:
        close = stuck

    running = graphs._Running(Graph(), ["pose"])
    graph = graphs.MediaPipeGraph.__new__(graphs.MediaPipeGraph)
    graph._running, graph._sent, graph._received = running, 1, 0
    graph._finalize = weakref.finalize(graph, running.stop)
    _closes_soon(graph)
    assert "MediaPipe's graph" in _warnings(caplog)
    assert running.graph is None


def test_leaving_with_an_error_closes_and_keeps_the_error(
    recognizer: Recognizer, waving: LandmarkSequence
):
    pictures = NumberedPictures(TIMES, is_live=True)
    begun = threading.Event()
    landmarker = KnownLandmarker(waving)
    running = recognizer.start(pictures, lambda result: begun.set(), landmarker=landmarker)

    def program() -> None:
        with running:
            assert begun.wait(20)
            raise ZeroDivisionError("of the program")

    with pytest.raises(ZeroDivisionError, match="of the program"):
        program()
    _no_threads_are_left()
    assert pictures.closed == 1
    assert running.run.status.state is RunState.ENDED
