"""Half an hour of frames, as fast as they go: no memory, no thread and no file stays behind."""

from __future__ import annotations

import gc
import os
import threading
from pathlib import Path

import numpy as np
import pytest

from bharsdk import Recognizer
from bharsdk.landmarks import LandmarkSequence
from bharsdk.sources import SourceConfig

from .conftest import KnownLandmarker, NumberedPictures

FPS = 30
HALF_AN_HOUR = 30 * 60 * FPS
GROWTH_MB = 5.0
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


def _resident_mb() -> float:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE_MB


needs_proc = pytest.mark.skipif(
    not Path("/proc/self/statm").exists(), reason="resident memory is read from /proc"
)


@needs_proc
def test_half_an_hour_of_frames_leaves_memory_as_it_was(
    recognizer: Recognizer, waving: LandmarkSequence
):
    """Pictures through threads, landmarks, model and decoder; the first tenth is warm-up."""
    times = np.arange(HALF_AN_HOUR) * (1000.0 / FPS)
    pictures = NumberedPictures(times.tolist())
    warm_mb = 0.0
    events = 0
    with recognizer.run(pictures, landmarker=KnownLandmarker(waving)) as run:
        for result in run:
            events += len(result.events)
            if result.frame == HALF_AN_HOUR // 10:
                warm_mb = _resident_mb()
        grown_mb = _resident_mb() - warm_mb
    print(f"{HALF_AN_HOUR} frames, {events} events: {grown_mb:+.1f} MB after warm-up")
    assert run.counts.delivered == HALF_AN_HOUR
    assert events > 100
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
