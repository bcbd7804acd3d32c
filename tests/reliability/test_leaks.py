"""Half an hour of frames, as fast as they go: no memory, no thread and no file stays behind.

The collector is off: on a robot it comes when it likes, and what only it frees piles up till then.
"""

from __future__ import annotations

import gc
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bharsdk import Recognizer
from bharsdk.cameras.source_config import SourceConfig
from bharsdk.landmarks.landmarks import LandmarkSequence

from .conftest import KnownLandmarker, NumberedPictures

FPS = 30
MINUTE = 60 * FPS
GROWTH_MB = 5.0
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


@pytest.fixture(autouse=True)
def no_collector() -> Iterator[None]:
    gc.disable()
    yield
    gc.enable()


def _resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_MB


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc"
)


@needs_proc
@pytest.mark.parametrize("minutes", [2, pytest.param(30, marks=pytest.mark.long)])
def test_half_an_hour_of_frames_leaves_memory_as_it_was(
    recognizer: Recognizer, waving: LandmarkSequence, minutes: int
):
    """Pictures through threads, landmarks, model and decoder; the first tenth is warm-up."""
    frames = minutes * MINUTE
    times = np.arange(frames) * (1000.0 / FPS)
    pictures = NumberedPictures(times.tolist())
    warm_mb = 0.0
    events = 0
    with recognizer.run(pictures, landmarker=KnownLandmarker(waving)) as run:
        for result in run:
            events += len(result.events)
            if result.frame_number == frames // 10:
                warm_mb = _resident_mb()
        grown_mb = _resident_mb() - warm_mb
    print(f"{frames} frames, {events} events: {grown_mb:+.1f} MB after warm-up")
    assert run.counts.delivered == frames
    assert events > 3 * minutes
    assert grown_mb < GROWTH_MB


@needs_proc
def test_a_thousand_runs_leave_neither_threads_nor_files_open(
    recognizer: Recognizer, waving: LandmarkSequence, tmp_path: Path
):
    """Opened, left in the middle, closed: robots start and stop all day."""
    short = LandmarkSequence.from_frames(list(waving.frames())[:5])
    path = tmp_path / "a.bhar-session"

    def once(number: int) -> None:
        pictures = NumberedPictures([0.0, 50.0, 100.0], is_live=number % 2 == 0)
        with recognizer.run(
            pictures,
            landmarker=KnownLandmarker(short),
            config=SourceConfig(),
            record=path if number % 10 == 0 else None,
        ) as run:
            next(run)

    for number in range(50):
        once(number)
    threads, files = threading.active_count(), len(list(Path("/proc/self/fd").iterdir()))
    before_mb = _resident_mb()
    for number in range(1000):
        once(number)
    assert threading.active_count() == threads
    assert len(list(Path("/proc/self/fd").iterdir())) == files
    assert _resident_mb() - before_mb < GROWTH_MB
