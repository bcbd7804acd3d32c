"""What finds people in pictures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from bharsdk.landmarks.landmarks import Landmarks
from bharsdk.values.image import Image

__all__ = ["Landmarker", "PipelinedLandmarker"]


class Landmarker(Protocol):
    """Finds people in the pictures of one source, in time order."""

    def detect(self, image: Image, timestamp_ms: float) -> Sequence[Landmarks]:
        """Return everyone found in ``image``; empty if there is nobody.

        image: uint8 [height, width, 3], BGR. Each person is stamped ``timestamp_ms``. NaN marks a
        body, a hand or a joint that was not found. Joints of another skeleton than MediaPipe's name
        it (``Landmarks.skeletons``).
        """
        ...

    def close(self) -> None:
        """Release what the landmarker holds. A second call does nothing."""
        ...


@runtime_checkable
class PipelinedLandmarker(Landmarker, Protocol):
    """A landmarker that works on several pictures at once.

    depth: how many pictures may be sent before the first is received. One thread calls
    :meth:`send`, one thread calls :meth:`receive`.
    """

    depth: int

    def send(self, image: Image, timestamp_ms: float) -> None:
        """Start on ``image``, taken at ``timestamp_ms``."""
        ...

    def receive(self) -> Sequence[Landmarks]:
        """Wait for the oldest picture that was sent, and return everyone found in it."""
        ...
