"""What every source yields: one frame with its landmarks, and its picture where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from bharsdk.closing import Closing
from bharsdk.landmarks import DEFAULT_ASPECT, Landmarks

__all__ = [
    "CapturedImage",
    "Frame",
    "Image",
    "Landmarker",
    "Pictures",
    "PipelinedLandmarker",
    "Source",
]

Image = npt.NDArray[np.uint8]
"""A picture, uint8 [height, width, 3], BGR as OpenCV reads it."""


@dataclass(frozen=True, eq=False)
class CapturedImage:
    """A picture with its capture time and how long reading and decoding took, milliseconds."""

    image: Image
    timestamp_ms: float
    capture_ms: float = 0.0


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a source.

    timestamp_ms: capture time, milliseconds. people: everyone found, empty where nobody was.
    aspect: image width / height. number: how many frames the source gave before it, dropped ones
    too. capture_ms, landmarks_ms: what reading and the landmarker took.
    """

    timestamp_ms: float
    people: tuple[Landmarks, ...]
    aspect: float = DEFAULT_ASPECT
    image: Image | None = None
    number: int = 0
    capture_ms: float = 0.0
    landmarks_ms: float = 0.0

    @classmethod
    def of(cls, landmarks: Landmarks, number: int = 0) -> Frame:
        """A frame without a picture."""
        return cls(landmarks.timestamp_ms, (landmarks,), landmarks.aspect, number=number)

    def at(self, timestamp_ms: float, number: int) -> Frame:
        """The same frame at another time, and of another number."""
        if timestamp_ms == self.timestamp_ms:
            return self if number == self.number else replace(self, number=number)
        people = tuple(replace(one, timestamp_ms=timestamp_ms) for one in self.people)
        return replace(self, timestamp_ms=timestamp_ms, people=people, number=number)

    @property
    def landmarks(self) -> Landmarks:
        """Those of the first person; all NaN where nobody was found."""
        return self.people[0] if self.people else Landmarks.empty(self.timestamp_ms, self.aspect)


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


class Pictures(Protocol):
    """A camera, a video or an iterable: pictures in time order.

    Iterated and closed by one thread.
    """

    @property
    def name(self) -> str:
        """For messages."""
        ...

    @property
    def is_live(self) -> bool:
        """Whether pictures come whether or not anybody is ready."""
        ...

    @property
    def fps(self) -> float | None:
        """Nominal frames a second; None where unknown."""
        ...

    @property
    def frame_count(self) -> int | None:
        """How many there will be; None where unknown."""
        ...

    def __iter__(self) -> Iterator[CapturedImage]:
        """The pictures. Raises SourceError when a live source is lost."""
        ...

    def interrupt(self) -> None:
        """End any pause between pictures soon; from any thread."""
        ...

    def close(self) -> None:
        """Release the camera or file. A second call does nothing."""
        ...


class Source(Closing):
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

    def close(self) -> None:
        """Release the camera or file. A second call does nothing."""
        close, self._close = self._close, None
        if close is not None:
            close()
