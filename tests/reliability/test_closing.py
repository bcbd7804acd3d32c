"""A run may be closed at any moment, by any thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path

from bharsdk import Recognizer
from bharsdk.landmarks.landmarks import Landmarks, LandmarkSequence
from bharsdk.pipeline.status import RunState
from bharsdk.recordings.session_file import load_session

REPEATS = 40


def test_a_replay_that_another_thread_closes_ends_without_an_error(
    recognizer: Recognizer, waving: LandmarkSequence, tmp_path: Path
):
    """In the middle of frames, again and again; what was recorded by then replays the same."""
    for repeat in range(REPEATS):
        reached = threading.Event()
        path = tmp_path / f"{repeat}.bhar-session"
        running = recognizer.start(
            waving,
            lambda result, n=repeat, reached=reached: result.frame_number >= n and reached.set(),
            record=path,
        )
        assert reached.wait(20)
        running.close()
        assert running.join(20)
        session = load_session(path)
        replayed = [event for r in recognizer.run(session) for event in r.events]
        assert list(session.events or ()) == replayed


def test_closing_does_not_wait_for_landmarks_that_do_not_come(
    recognizer: Recognizer, waving: LandmarkSequence
):
    """The iterable is closed by the thread that waits for it, as soon as that returns."""
    waiting, released, closed = threading.Event(), threading.Event(), threading.Event()

    def landmarks() -> Iterator[Landmarks]:
        try:
            for number, frame in enumerate(waving.frames()):
                if number == 5:
                    waiting.set()
                    released.wait(20)
                yield frame
        finally:
            closed.set()

    running = recognizer.start(landmarks(), lambda result: None)
    assert waiting.wait(20)
    running.run.close()
    assert running.run.status.state is RunState.ENDED
    assert not closed.is_set()
    released.set()
    assert running.join(20)
    assert closed.is_set()
    assert running.run.counts.delivered == 5
