"""Frames that come too fast, too late or at wrong times: dropped by name, every one counted."""

from __future__ import annotations

import threading
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bharsdk import Recognizer
from bharsdk.cameras.source_config import Backpressure, SourceConfig
from bharsdk.errors import InputError
from bharsdk.events import DropCause, Event
from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.pipeline.backpressure import FrameQueue
from bharsdk.pipeline.run import Run
from bharsdk.pipeline.status import RunState, Status
from bharsdk.recognition.results import Result

from .conftest import KnownLandmarker, NumberedPictures, OverlappingLandmarker

STEP_MS = 1000 / 15


def _times(count: int) -> list[float]:
    return [number * STEP_MS for number in range(count)]


def _adds_up(run: Run) -> None:
    counts = run.counts
    assert counts.pending == 0
    assert counts.captured == counts.delivered + counts.total_dropped


def _events(results: list[Result]) -> list[Event]:
    return [event for result in results for event in result.events]


def test_a_stuck_consumer_loses_the_oldest_16_of_20_and_keeps_the_last_4(
    recognizer: Recognizer, waving: LandmarkSequence
):
    """20 frames into 4 slots, with nobody taking any before the source has ended."""
    landmarker = KnownLandmarker(waving)
    config = SourceConfig(Backpressure.DROP_OLDEST, slots=4, max_age_s=60)
    run = recognizer.run(NumberedPictures(_times(20)), landmarker=landmarker, config=config)
    with run:
        while run.counts.captured < 20 or landmarker.seen[-1:] != [19]:
            time.sleep(0.005)
        _wait_for(lambda: run.counts.total_dropped == 16)
        results = [result for result in run if not result.is_final]
    assert [result.frame_number for result in results] == [16, 17, 18, 19]
    assert run.counts.total_dropped == 16
    assert sum(results[0].dropped.values()) == 16
    assert not any(result.dropped for result in results[1:])
    _adds_up(run)


def _wait_for(condition: object, seconds: float = 10.0) -> None:
    assert callable(condition)
    until = time.monotonic() + seconds
    while not condition() and time.monotonic() < until:
        time.sleep(0.005)
    assert condition()


def test_a_slow_callback_loses_results_and_no_event(
    recognizer: Recognizer, waving: LandmarkSequence
):
    """200 ms a result, a live source at full speed: every event arrives, in order."""
    expected = _events(list(recognizer.run(waving)))
    landmarker = KnownLandmarker(waving)
    pace = threading.Event()
    pictures = NumberedPictures(
        list(waving.timestamps_ms), is_live=True, before=lambda _: pace.wait(0.005) and None
    )
    config = SourceConfig(Backpressure.DROP_OLDEST, slots=100, max_age_s=60)
    results: list[Result] = []

    def callback(result: Result) -> None:
        results.append(result)
        if len(results) < 8:
            time.sleep(0.2)

    with recognizer.start(pictures, callback, landmarker=landmarker, config=config) as running:
        assert running.join(60)
    assert running.run.counts.dropped.get(DropCause.BUSY_CONSUMER, 0) > 20
    assert running.run.counts.dropped.keys() == {DropCause.BUSY_CONSUMER}
    assert _events(results) == expected
    assert len(expected) >= 4
    _adds_up(running.run)


def test_the_latest_frame_is_what_a_live_consumer_gets(
    recognizer: Recognizer, waving: LandmarkSequence
):
    """After a pause of the consumer, the next result is of the newest frame there is."""
    taken, arrived, released = threading.Event(), threading.Event(), threading.Event()

    def before(number: int) -> None:
        if number == 1:
            taken.wait(10)
        if number == 30:
            arrived.set()
            released.wait(10)
        else:
            time.sleep(0.002)

    pictures = NumberedPictures(_times(31), is_live=True, before=before)
    with recognizer.run(
        pictures, landmarker=KnownLandmarker(waving), config=SourceConfig(max_age_s=60)
    ) as run:
        first = next(run)
        taken.set()
        assert arrived.wait(10)
        _wait_for(lambda: run.counts.pending == 1)
        newest = next(run)
        assert newest.frame_number == 29 > first.frame_number + 1
        released.set()
        assert [result.frame_number for result in run if not result.is_final] == [30]
    _adds_up(run)


def test_a_file_waits_for_its_consumer_and_loses_nothing(
    recognizer: Recognizer, waving: LandmarkSequence
):
    pictures = NumberedPictures(list(waving.timestamps_ms))
    with recognizer.run(pictures, landmarker=KnownLandmarker(waving)) as run:
        results = []
        for result in run:
            results.append(result)
            if len(results) % 40 == 0:
                time.sleep(0.02)
    assert [r.frame_number for r in results if not r.is_final] == list(range(len(waving)))
    assert run.counts.total_dropped == 0
    assert _events(results) == _events(list(recognizer.run(waving)))
    assert pictures.closed == 1
    assert run.status == Status(RunState.ENDED)
    _adds_up(run)


def test_what_waited_longer_than_the_staleness_budget_is_dropped(
    recognizer: Recognizer, waving: LandmarkSequence
):
    """0.5 s: while the landmarker is stuck for longer, what came meanwhile is never looked at."""
    stuck, filled = threading.Event(), threading.Event()

    def before_picture(number: int) -> None:
        if number == 5:
            filled.set()
        if number == 6:
            stuck.wait(10)

    def before_landmarks(number: int) -> None:
        if number == 0:
            filled.wait(10)
            time.sleep(0.7)
            stuck.set()

    landmarker = KnownLandmarker(waving, before=before_landmarks)
    config = SourceConfig(Backpressure.DROP_OLDEST, slots=10, max_age_s=0.5)
    pictures = NumberedPictures(_times(8), is_live=True, before=before_picture)
    with recognizer.run(pictures, landmarker=landmarker, config=config) as run:
        results = list(run)
    assert landmarker.seen == [0, 6, 7]
    assert [result.frame_number for result in results if not result.is_final] == [6, 7]
    assert run.counts.dropped == {DropCause.STALE: 6}
    assert all(result.age_ms <= 500 for result in results)
    _adds_up(run)


@pytest.mark.parametrize(
    ("times_ms", "kept"),
    [
        pytest.param([0, 100, 100, 200], [0, 1, 3], id="equal"),
        pytest.param([0, 100, 50, 200], [0, 1, 3], id="backwards"),
        pytest.param([-5, -1, 0, 100], [2, 3], id="negative"),
        pytest.param([0, float("nan"), float("inf"), 100], [0, 3], id="no time at all"),
        pytest.param([0, 100, 86_400_100, 86_400_200], [0, 1, 2, 3], id="24 h gap"),
    ],
)
def test_frames_whose_time_cannot_be_are_dropped_and_counted(
    recognizer: Recognizer, waving: LandmarkSequence, times_ms: list[float], kept: list[int]
):
    landmarker = KnownLandmarker(waving)
    with recognizer.run(NumberedPictures(times_ms), landmarker=landmarker) as run:
        results = [result for result in run if not result.is_final]
    assert [result.frame_number for result in results] == landmarker.seen == kept
    dropped = len(times_ms) - len(kept)
    assert run.counts.dropped == ({DropCause.TIMESTAMP: dropped} if dropped else {})
    assert [result.timestamp_ms for result in results] == [times_ms[number] for number in kept]
    _adds_up(run)


def test_a_clock_that_is_set_back_silences_a_source_for_a_second_and_not_for_an_hour(
    recognizer: Recognizer, waving: LandmarkSequence
):
    hour_ms = 3_600_000.0
    times = [hour_ms + time for time in _times(30)] + _times(60)
    with recognizer.run(NumberedPictures(times), landmarker=KnownLandmarker(waving)) as run:
        results = [result for result in run if not result.is_final]
    assert run.counts.dropped == {DropCause.TIMESTAMP: 15}
    stamps = [result.timestamp_ms for result in results]
    assert stamps == sorted(set(stamps))
    assert len(stamps) == 75
    _adds_up(run)


def test_a_day_s_gap_starts_the_window_anew(recognizer: Recognizer, waving: LandmarkSequence):
    """Nothing is recognized from frames on both sides of it."""
    day_ms = 86_400_000.0
    times = waving.timestamps_ms.copy()
    times[60:] += day_ms
    for result in recognizer.run(waving.replaced(timestamps_ms=times)):
        for event in result.events:
            assert (event.start_ms < day_ms) == ((event.end_ms or event.start_ms) < day_ms)


def test_overlapping_landmarks_are_those_of_one_after_another(
    recognizer: Recognizer, waving: LandmarkSequence
):
    landmarker = OverlappingLandmarker(waving)
    with recognizer.run(NumberedPictures(list(waving.timestamps_ms)), landmarker=landmarker) as run:
        results = list(run)
    assert _events(results) == _events(list(recognizer.run(waving)))
    assert 1 <= landmarker.most_under_way <= landmarker.depth
    _adds_up(run)


def test_closing_in_the_middle_of_overlapping_landmarks_is_no_trouble(
    recognizer: Recognizer, waving: LandmarkSequence
):
    """As with Ctrl-C: nothing more is sent, and nobody is told of a failure."""
    said: list[Status] = []
    for frames in range(1, 15):
        landmarker = OverlappingLandmarker(waving)
        with recognizer.run(
            NumberedPictures(_times(200)), landmarker=landmarker, on_status=said.append
        ) as run:
            for _ in range(frames):
                next(run)
        _adds_up(run)
    assert {status.state for status in said} <= {
        RunState.STARTING,
        RunState.WARMING,
        RunState.RUNNING,
        RunState.ENDED,
    }


def test_a_landmarker_that_raises_costs_its_frames_and_nothing_else(
    recognizer: Recognizer, waving: LandmarkSequence
):
    said: list[Status] = []
    landmarker = KnownLandmarker(waving, fails=lambda number: number % 10 in (3, 4))
    with recognizer.run(
        NumberedPictures(list(waving.timestamps_ms)), landmarker=landmarker, on_status=said.append
    ) as run:
        results = [result for result in run if not result.is_final]
    assert run.counts.dropped == {DropCause.FAILED: 2 * (len(waving) // 10)}
    assert [result.frame_number % 10 for result in results[:8]] == [0, 1, 2, 5, 6, 7, 8, 9]
    assert any("graph broke on picture 3" in status.message for status in said)
    _adds_up(run)


def test_a_landmarker_that_is_broken_ends_the_run_with_its_error(
    recognizer: Recognizer, waving: LandmarkSequence
):
    from bharsdk.errors import SourceError

    landmarker = KnownLandmarker(waving, fails=lambda number: number >= 20)
    run = recognizer.run(NumberedPictures(_times(100)), landmarker=landmarker)
    results: list[Result] = []
    with pytest.raises(SourceError, match=r"failed on 10 pictures in a row.*graph broke"):
        results.extend(run)
    assert [r.frame_number for r in results if not r.is_final] == list(range(20))
    assert run.status.state is RunState.ERROR
    assert "graph broke" in run.status.message
    _adds_up(run)


def test_a_source_that_is_closed_early_counts_what_was_under_way(
    recognizer: Recognizer, waving: LandmarkSequence
):
    pictures, landmarker = NumberedPictures(_times(200)), KnownLandmarker(waving)
    run = recognizer.run(pictures, landmarker=landmarker)
    next(run)
    run.close()
    run.close()
    assert pictures.closed == 1
    assert landmarker.closed == 0, "a landmarker that was passed in belongs to the caller"
    assert run.status.state is RunState.ENDED
    _adds_up(run)


def test_leaving_the_loop_releases_the_source(recognizer: Recognizer, waving: LandmarkSequence):
    pictures = NumberedPictures(_times(200), is_live=True)
    for _ in recognizer.run(pictures, landmarker=KnownLandmarker(waving)):
        break
    assert pictures.closed == 1


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.sampled_from(["put", "get"]), max_size=60),
    st.sampled_from(list(Backpressure)),
    st.integers(1, 5),
)
def test_a_queue_hands_out_or_gives_up_everything_once_in_order(
    steps: list[str], policy: Backpressure, slots: int
):
    dropped: list[int] = []
    queue = FrameQueue[int](slots, policy, dropped.append)
    room = 1 if policy is Backpressure.LATEST else slots
    put, got = 0, []
    for step in steps:
        if step == "put" and (policy is not Backpressure.WAIT or len(queue) < room):
            assert queue.put(put)
            put += 1
        elif step == "get" and len(queue):
            got.append(queue.get())
    assert len(queue) <= room
    queue.end()
    assert not queue.put(-1)
    while (item := queue.get()) is not None:
        got.append(item)
    assert got == sorted(got)
    assert sorted(got + dropped) == list(range(put))
    assert dropped == sorted(dropped)
    if policy is Backpressure.WAIT:
        assert dropped == []


def test_settings_out_of_range_say_what_is_expected():
    for wrong in ({"slots": 0}, {"max_age_s": 0.0}, {"retry_s": 2.0, "max_retry_s": 1.0}):
        with pytest.raises(InputError, match="expected"):
            SourceConfig(**wrong)  # type: ignore[arg-type]
