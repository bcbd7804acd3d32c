"""A camera and a landmarker of which every frame is known: pictures carry a number."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from bharsdk import Recognizer
from bharsdk.cameras.pictures import CapturedImage
from bharsdk.landmarks.landmarks import Landmarks, LandmarkSequence
from bharsdk.values.image import Image

HEIGHT, WIDTH = 36, 64


def picture_of(number: int) -> Image:
    """A picture that says ``number`` in its first two bytes."""
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    image[0, 0, 0], image[0, 0, 1] = number % 256, number // 256
    return image


def number_of(image: Image) -> int:
    """The number in a picture."""
    return int(image[0, 0, 0]) + 256 * int(image[0, 0, 1])


class NumberedPictures:
    """Pictures 0, 1, 2, ... at given times. A gate, if given, is asked before each."""

    name = "numbered"
    frame_count: int | None = None
    fps: float | None = None

    def __init__(
        self,
        times_ms: Sequence[float],
        *,
        is_live: bool = False,
        before: Callable[[int], None] = lambda number: None,
    ) -> None:
        self._times_ms, self.is_live, self._before = times_ms, is_live, before
        self.closed = 0

    def __iter__(self) -> Iterator[CapturedImage]:
        for number, time_ms in enumerate(self._times_ms):
            self._before(number)
            yield CapturedImage(picture_of(number), time_ms)

    def interrupt(self) -> None: ...

    def close(self) -> None:
        self.closed += 1


class KnownLandmarker:
    """Gives the recorded landmarks whose number is in the picture. fails: raises on these."""

    def __init__(
        self,
        recording: LandmarkSequence,
        *,
        fails: Callable[[int], bool] = lambda number: False,
        before: Callable[[int], None] = lambda number: None,
    ) -> None:
        self._frames = list(recording.frames())
        self._fails, self._before = fails, before
        self.closed = 0
        self.seen: list[int] = []

    def detect(self, image: Image, timestamp_ms: float) -> tuple[Landmarks, ...]:
        number = number_of(image)
        self._before(number)
        if self._fails(number):
            raise RuntimeError(f"graph broke on picture {number}")
        self.seen.append(number)
        frame = self._frames[number % len(self._frames)]
        return (Landmarks(timestamp_ms, frame.body, frame.hands, WIDTH / HEIGHT),)

    def close(self) -> None:
        self.closed += 1


class OverlappingLandmarker(KnownLandmarker):
    """The same, several pictures under way; counts how many."""

    depth = 2

    def __init__(self, recording: LandmarkSequence) -> None:
        super().__init__(recording)
        self._sent: list[tuple[Image, float]] = []
        self._lock = threading.Lock()
        self.most_under_way = 0

    def send(self, image: Image, timestamp_ms: float) -> None:
        with self._lock:
            assert len(self._sent) < self.depth, "more under way than it takes"
            self._sent.append((image, timestamp_ms))
            self.most_under_way = max(self.most_under_way, len(self._sent))

    def receive(self) -> tuple[Landmarks, ...]:
        with self._lock:
            image, timestamp_ms = self._sent[0]
        found = self.detect(image, timestamp_ms)
        with self._lock:
            self._sent.pop(0)
        return found


@pytest.fixture(scope="session")
def recognizer(presence_bundle: Path) -> Recognizer:
    return Recognizer(presence_bundle)


@pytest.fixture(scope="session")
def waving(recording: LandmarkSequence) -> LandmarkSequence:
    """The real body; the right hand comes and goes, so that there are events all along."""
    hands = np.full_like(recording.hands, np.nan)
    seconds = (recording.timestamps_ms - recording.timestamps_ms[0]) / 1000
    shown = seconds % 4.0 < 2.0
    hands[shown, 1] = 0.5 + 0.01 * np.arange(63, dtype=np.float32).reshape(21, 3)
    return recording.replaced(hands=hands)


@pytest.fixture(autouse=True)
def no_thread_is_left(request: pytest.FixtureRequest) -> Iterator[None]:
    """Every test ends with the threads that it began with, at once: closing waits for them.

    Those that a test made hang are released as it ends, and get a moment to go.
    """
    before = set(threading.enumerate())
    yield
    if "stuck" in request.fixturenames:
        for thread in set(threading.enumerate()) - before:
            thread.join(10.0)
    left = [t.name for t in threading.enumerate() if t not in before and t.is_alive()]
    assert not left
