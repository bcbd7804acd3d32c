"""What every source yields: one frame with its landmarks, and its picture where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

import numpy as np
import numpy.typing as npt

from bharsdk.landmarks import Landmarks

__all__ = ["CapturedImage", "Frame", "Image", "Landmarker", "Source"]

Image = npt.NDArray[np.uint8]
"""A picture, uint8 [height, width, 3], BGR as OpenCV reads it."""


@dataclass(frozen=True, eq=False)
class CapturedImage:
    """A picture with its capture time and how long reading and decoding took, milliseconds."""

    image: Image
    timestamp_ms: float
    capture_ms: float


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a source. The last two: milliseconds that reading and the landmarker took."""

    landmarks: Landmarks
    image: Image | None = None
    capture_ms: float = 0.0
    landmarks_ms: float = 0.0


class Landmarker(Protocol):
    """Finds the joints of one person in pictures of one source, in time order."""

    def detect(self, image: Image, timestamp_ms: float) -> Landmarks:
        """Return the landmarks in ``image``; NaN marks what was not found."""
        ...

    def close(self) -> None:
        """Release what the landmarker holds. A second call does nothing."""
        ...


class Source:
    """Frames in time order, closed at the end of a ``with`` block.

    fps: nominal frames a second, None where unknown. frame_count: how many frames the container
    announces, None where it has no end or does not say.
    """

    def __init__(
        self,
        frames: Iterator[Frame],
        close: Callable[[], None] | None = None,
        *,
        fps: float | None = None,
        frame_count: int | None = None,
    ) -> None:
        self._frames = frames
        self._close = close
        self.fps = fps
        self.frame_count = frame_count

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    def __enter__(self) -> Source:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Release the camera or file. A second call does nothing."""
        close, self._close = self._close, None
        if close is not None:
            close()
