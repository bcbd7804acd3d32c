"""Find landmarks with MediaPipe Holistic: 33 pose joints and 2 x 21 hand joints of one person.

It uses the solutions API of MediaPipe 0.10.14 to 0.10.21. Their wheels carry the models of
complexity 1 and open no connection. The public recordings that the models train on have the same
landmarks.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from bharsdk.cameras.opencv import import_cv2
from bharsdk.errors import InputError, UsageError
from bharsdk.landmarkers.mediapipe_graph import import_solutions, quiet_projection
from bharsdk.landmarkers.memory import memory_returned
from bharsdk.landmarks.landmarks import BODY_SHAPE, HANDS_SHAPE, Landmarks
from bharsdk.process.closeable import Closing, close_aside
from bharsdk.process.silence import STDERR, quiet_outputs
from bharsdk.values.brief import brief
from bharsdk.values.checks import typed
from bharsdk.values.image import Image

__all__ = ["HolisticLandmarker", "open_one"]

MODEL_COMPLEXITY = 1
"""The only complexity whose models are inside the wheel; 0 and 2 try a download."""
WARM_UP_SHAPE = (48, 64, 3)


class HolisticLandmarker(Closing):
    """Follow one person from picture to picture with MediaPipe Holistic in video mode.

    It is not shared between sources or threads.

    Args:
        min_detection_confidence: as MediaPipe names it, 0 to 1.
        min_tracking_confidence: as MediaPipe names it, 0 to 1.

    Raises:
        BackendMissingError: MediaPipe or a library that it needs is not installed.
    """

    def __init__(
        self, *, min_detection_confidence: float = 0.5, min_tracking_confidence: float = 0.5
    ) -> None:
        for name, value in (
            ("min_detection_confidence", min_detection_confidence),
            ("min_tracking_confidence", min_tracking_confidence),
        ):
            if not 0 <= typed(float, value, f"landmarks: got {name}") <= 1:
                raise InputError(f"landmarks: got {name} {value}, expected 0 to 1")
        self._cv2 = import_cv2()
        solutions: Any = import_solutions()
        quiet_projection()
        # The first picture starts the interpreters, which talk to stderr whatever they are told.
        with quiet_outputs(STDERR):
            self._holistic: Any = solutions.holistic.Holistic(
                model_complexity=MODEL_COMPLEXITY,
                min_detection_confidence=min_detection_confidence,
                min_tracking_confidence=min_tracking_confidence,
            )
            self._holistic.process(np.zeros(WARM_UP_SHAPE, np.uint8))

    def __repr__(self) -> str:
        return brief(self, closed=self._holistic is None or None)

    def detect(self, image: Image, timestamp_ms: float) -> tuple[Landmarks, ...]:
        """Return the person in ``image``, if any: uint8 [height, width, 3], BGR.

        Left and right are the person's own. Raises InputError on another kind of array, UsageError
        after close().
        """
        check_image(image)
        if self._holistic is None:
            raise UsageError("landmarks: got a picture after close(): open a new landmarker")
        found = self._holistic.process(self._cv2.cvtColor(image, self._cv2.COLOR_BGR2RGB))
        hands = np.stack(
            [
                points_of(found.left_hand_landmarks, HANDS_SHAPE[1:]),
                points_of(found.right_hand_landmarks, HANDS_SHAPE[1:]),
            ]
        )
        body = points_of(found.pose_landmarks, BODY_SHAPE)
        person = Landmarks(timestamp_ms, body, hands, image.shape[1] / image.shape[0])
        return (person,) if person.is_seen else ()

    def close(self) -> None:
        """Stop the graph and free its memory. A second call does nothing."""
        holistic, self._holistic = self._holistic, None
        if holistic is not None:
            # Alone with its last reference in that thread, so that it is freed there.
            close_aside(functools.partial(_stop, [holistic]), "MediaPipe Holistic")


def open_one(max_persons: int) -> HolisticLandmarker:
    """Open the landmarker ``holistic`` of the registry, which follows one person."""
    assert max_persons == 1, "the registry refuses more"
    return HolisticLandmarker()


def _stop(last: list[Any]) -> None:
    # What failed inside was raised by detect(), or nobody asked for it.
    with memory_returned(), contextlib.suppress(RuntimeError, ValueError):
        last.pop().close()


def check_image(image: Image) -> None:
    """Raise InputError unless ``image`` is uint8 [height, width, 3]."""
    if not isinstance(image, np.ndarray):
        raise InputError(f"image: got {type(image).__name__}, expected uint8 [height, width, 3]")
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
        raise InputError(
            f"image: got {image.dtype} {list(image.shape)}, expected uint8 [height, width, 3]"
        )


def points_of(found: Any, shape: Sequence[int]) -> npt.NDArray[np.float32]:
    """A MediaPipe landmark list -> float32 ``shape``; NaN when None, that is, not detected."""
    if found is None:
        return np.full(shape, np.nan, np.float32)
    names = ("x", "y", "z", "visibility")[: shape[1]]
    return np.array([[getattr(p, n) for n in names] for p in found.landmark], np.float32)
