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
        """Everyone found in ``image``, each stamped ``timestamp_ms``; empty if there is nobody.

        NaN marks what was not found of somebody.
        """
        ...

    def close(self) -> None:
        """Release what the landmarker holds. A second call does nothing."""
        ...


@runtime_checkable
class PipelinedLandmarker(Landmarker, Protocol):
    """A landmarker whose stages overlap: several pictures may be under way.

    depth: how many may be sent before the first is received. :meth:`send` and :meth:`receive` are
    called by one thread each.
    """

    depth: int

    def send(self, image: Image, timestamp_ms: float) -> None:
        """Begin with ``image``."""
        ...

    def receive(self) -> Sequence[Landmarks]:
        """What was found in the picture that was sent first and not received yet; waits for it."""
        ...
