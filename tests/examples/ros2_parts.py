"""What the tests of the ROS 2 example share: known landmarks, and somebody who listens."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from bharsdk.cameras.source_config import SourceConfig
from bharsdk.events import Event
from bharsdk.landmarks.landmarks import Landmarks, LandmarkSequence
from bharsdk.pipeline.status import Status
from bharsdk.values.image import Image

__all__ = [
    "EPOCH_NS",
    "ROS2",
    "STEP_NS",
    "ListenedTo",
    "NumberedLandmarker",
    "picture",
    "stamp",
    "wait_for",
]

ROS2 = Path(__file__).parents[2] / "examples" / "ros2"
EPOCH_NS = 1_753_000_000_123_456_789
"""A camera's clock is that of the world, whose nanoseconds no float holds."""
STEP_NS = 66_666_667
PATIENT = SourceConfig(max_age_s=60.0)


class NumberedLandmarker:
    """Gives the recorded frame whose number is in the picture. before: called with it first."""

    def __init__(
        self, recording: LandmarkSequence, before: Callable[[int], None] = lambda number: None
    ) -> None:
        self._frames, self._before = list(recording.frames()), before
        self.seen: list[int] = []
        self.closed = 0

    def detect(self, image: Image, timestamp_ms: float) -> tuple[Landmarks, ...]:
        number = int(image[0, 0, 0])
        self.seen.append(number)
        self._before(number)
        known = self._frames[number]
        return (dataclasses.replace(known, timestamp_ms=timestamp_ms),)

    def close(self) -> None:
        self.closed += 1


def picture(number: int) -> Image:
    return np.full((9, 16, 3), number, np.uint8)


def stamp(number: int) -> int:
    return EPOCH_NS + number * STEP_NS


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    until_s = time.monotonic() + seconds
    while not condition() and time.monotonic() < until_s:
        time.sleep(0.001)
    assert condition()


class ListenedTo:
    """A recognition with what it has told so far."""

    def __init__(
        self,
        package: ModuleType,
        recording: LandmarkSequence,
        before: Callable[[int], None] = lambda number: None,
    ) -> None:
        self.landmarkers: list[NumberedLandmarker] = []
        self.results: list[Any] = []
        self.errors: list[Exception] = []
        self.said: list[Status] = []

        def make() -> NumberedLandmarker:
            self.landmarkers.append(NumberedLandmarker(recording, before))
            return self.landmarkers[-1]

        self.recognition = package.Recognition(
            self.results.append,
            self.errors.append,
            self.said.append,
            make_landmarker=make,
            config=PATIENT,
        )

    def feed(self, numbers: range) -> None:
        """Hand over pictures as fast as each becomes a result."""
        for number in numbers:
            before = len(self.results)
            assert self.recognition.on_image(picture(number), stamp(number), "camera_optical")
            wait_for(lambda before=before: len(self.results) > before)

    @property
    def events(self) -> list[Event]:
        return [event for stamped in self.results for event in stamped.result.events]
