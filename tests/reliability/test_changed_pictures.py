"""A camera that changes its resolution or its shape in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from bharsdk import Recognizer
from bharsdk.cameras.pictures import CapturedImage
from bharsdk.events import Rejection
from bharsdk.landmarks.landmarks import LandmarkSequence

from .conftest import KnownLandmarker, NumberedPictures

VIDEO = Path(__file__).parents[2] / "examples/data/videos/yo_001.mp4"
SIZES = [(480, 270), (960, 540), (480, 360), (480, 270)]


def test_a_real_video_that_changes_its_size_keeps_its_landmarks():
    """Twice as large, then another shape, then as before: the person is found in every picture."""
    cv2 = pytest.importorskip("cv2", reason="needs the extra 'camera'")
    pytest.importorskip("mediapipe", reason="needs the extra 'camera'")
    capture = cv2.VideoCapture(str(VIDEO))

    def pictures() -> Iterator[tuple[np.ndarray, float]]:
        for number in range(24):
            yield cv2.resize(capture.read()[1], SIZES[number // 6]), number * 40.0

    results = list(Recognizer("asl-coffee-prgcn").run(pictures()))
    capture.release()
    assert [result.image.shape[1::-1] for result in results if result.image is not None] == [
        size for size in SIZES for _ in range(6)
    ]
    assert all(result.landmarks.has_body for result in results[1:])
    same_shape = results[5].landmarks.body[11:13, :2], results[6].landmarks.body[11:13, :2]
    np.testing.assert_allclose(*same_shape, atol=0.05)


class _Reshaped(NumberedPictures):
    """Wide pictures, and from number 100 on square ones."""

    def __iter__(self) -> Iterator[CapturedImage]:
        for number, picture in enumerate(super().__iter__()):
            image = picture.image if number < 100 else np.repeat(picture.image, 2, axis=0)
            yield CapturedImage(image, picture.timestamp_ms)


def test_another_shape_starts_the_window_anew(recognizer: Recognizer, waving: LandmarkSequence):
    """The same gesture has other coordinates there: nothing is recognized across the change."""

    class Landmarker(KnownLandmarker):
        def detect(self, image, timestamp_ms):  # type: ignore[no-untyped-def]
            (one,) = super().detect(image, timestamp_ms)
            import dataclasses

            return (dataclasses.replace(one, aspect=image.shape[1] / image.shape[0]),)

    pictures = _Reshaped(list(waving.timestamps_ms))
    results = list(recognizer.run(pictures, landmarker=Landmarker(waving)))
    assert {round(result.aspect, 3) for result in results} == {1.778, 0.889}
    change_ms = waving.timestamps_ms[100]
    warming = [
        result.timestamp_ms
        for result in results
        if result.people[0].rejected is Rejection.WARMING and result.timestamp_ms >= change_ms
    ]
    assert warming[0] == change_ms
    assert warming[-1] - change_ms > 0.9 * recognizer.receptive_field_ms
    for result in results:
        for event in result.events:
            assert (event.start_ms < change_ms) == ((event.end_ms or event.start_ms) < change_ms)
