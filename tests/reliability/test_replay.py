"""Live and replayed are the same; what a camera does to its frames changes little."""

from __future__ import annotations

import random
import time
from pathlib import Path

import numpy as np
import pytest

from bharsdk import Recognizer
from bharsdk.cameras.source_config import Backpressure, SourceConfig
from bharsdk.events import Event, EventPhase
from bharsdk.landmarks.landmarks import LandmarkSequence
from bharsdk.recordings.session_file import load_session

from .conftest import KnownLandmarker, NumberedPictures

SESSION = Path(__file__).parents[2] / "examples/data/sessions/s2-a.bhar-session"


def _events(results: object) -> list[Event]:
    return [event for result in results for event in result.events]  # type: ignore[attr-defined]


@pytest.mark.parametrize("repeats", [40, pytest.param(500, marks=pytest.mark.long)])
def test_live_is_what_its_recording_replays(
    recognizer: Recognizer, waving: LandmarkSequence, tmp_path: Path, repeats: int
):
    """Threads, a live policy, frames lost at random: bit for bit the same events."""
    path = tmp_path / "live.bhar-session"
    with_loss = with_events = 0
    for repeat in range(repeats):
        chance = random.Random(repeat)
        start = chance.randrange(100)
        frames = range(start, start + 50)
        times = [waving.timestamps_ms[i] + chance.uniform(0, 20) for i in frames]
        part = LandmarkSequence(
            waving.timestamps_ms[list(frames)], waving.body[frames], waving.hands[frames]
        )
        pictures = NumberedPictures(
            times,
            is_live=True,
            before=lambda _, chance=chance: time.sleep(chance.choice((0, 0, 0, 0.0005))),  # type: ignore[misc]
        )
        config = SourceConfig(Backpressure.DROP_OLDEST, slots=chance.choice((2, 10, 60)))
        with recognizer.run(
            pictures, landmarker=KnownLandmarker(part), config=config, record=path
        ) as run:
            live = _events(run)
        session = load_session(path)
        assert _events(recognizer.run(session)) == live == list(session.events or ())
        with_loss += run.counts.total_dropped > 0
        with_events += bool(live)
    assert with_events > repeats / 2
    assert with_loss > 0


@pytest.fixture(scope="module")
def coffee() -> Recognizer:
    return Recognizer("asl-coffee-prgcn")


@pytest.fixture(scope="module")
def session() -> LandmarkSequence:
    return load_session(SESSION).sequence


def _signs(recognizer: Recognizer, sequence: LandmarkSequence) -> list[str]:
    return [event.label for event in recognizer.recognize_clip(sequence)]


def _at_rate(sequence: LandmarkSequence, fps: float) -> LandmarkSequence:
    """As a camera of that rate would have seen it: between two frames, in between."""
    times = sequence.timestamps_ms
    wanted = np.arange(times[0], times[-1], 1000.0 / fps)
    right = np.clip(np.searchsorted(times, wanted), 1, len(times) - 1)
    weight = ((wanted - times[right - 1]) / (times[right] - times[right - 1])).astype(np.float32)

    def mixed(values: np.ndarray) -> np.ndarray:
        w = weight.reshape(-1, *[1] * (values.ndim - 1))
        between = values[right - 1] * (1 - w) + values[right] * w
        nearest = np.where(w < 0.5, values[right - 1], values[right])
        return np.where(np.isnan(between), nearest, between).astype(np.float32)

    return LandmarkSequence(wanted, mixed(sequence.body), mixed(sequence.hands), sequence.aspect)


def _changes(before: list[str], after: list[str]) -> int:
    """Labels to add, remove or change to get from one list to the other (Levenshtein)."""
    row = list(range(len(after) + 1))
    for i, a in enumerate(before, 1):
        previous, row[0] = row[0], i
        for j, b in enumerate(after, 1):
            previous, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, previous + (a != b))
    return row[-1]


@pytest.mark.long
@pytest.mark.parametrize("fps", [15, 25, 30, 60])
def test_the_frame_rate_changes_few_labels(
    coffee: Recognizer, session: LandmarkSequence, fps: float
):
    before = _signs(coffee, session)
    after = _signs(coffee, _at_rate(session, fps))
    changes = _changes(before, after)
    print(f"{fps} frames a second: {changes} of {len(before)} labels changed")
    assert changes <= 0.2 * len(before)


@pytest.mark.long
@pytest.mark.parametrize("drop", [0.0, 0.05, 0.1, 0.2])
def test_jitter_and_lost_frames_change_few_labels(
    coffee: Recognizer, session: LandmarkSequence, drop: float
):
    """30 frames a second, each up to 30 % of a frame's time early or late, some of them lost."""
    before = _signs(coffee, session)
    smooth = _at_rate(session, 30)
    worst = 0
    for seed in range(2):
        chance = np.random.default_rng(seed)
        kept = np.flatnonzero(chance.random(len(smooth)) >= drop)
        late_ms = chance.uniform(-0.3, 0.3, len(smooth)) * 1000 / 30
        times = np.maximum(smooth.timestamps_ms + late_ms, 0.0)[kept]
        shaken = LandmarkSequence(times, smooth.body[kept], smooth.hands[kept], smooth.aspect)
        worst = max(worst, _changes(before, _signs(coffee, shaken)))
    print(f"jitter 30 %, {100 * drop:.0f} % lost: {worst} of {len(before)} labels changed")
    assert worst <= 0.25 * len(before)


def test_a_stream_alone_is_one_of_eight_interleaved(coffee: Recognizer, session: LandmarkSequence):
    """With the model that ships: bit for bit."""
    frames = list(session.frames())[:250]
    alone = coffee.stream()
    expected = [event for frame in frames for event in alone.push(frame)]
    streams = [coffee.stream() for _ in range(8)]
    events: list[list[Event]] = [[] for _ in streams]
    for i in range(len(frames) + 7 * 3):
        for k, stream in enumerate(streams):  # each three frames behind the one before
            if 0 <= i - 3 * k < len(frames):
                events[k] += stream.push(frames[i - 3 * k])
    assert events == [expected] * 8
    assert len([e for e in expected if e.phase is EventPhase.START]) >= 4
