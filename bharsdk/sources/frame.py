"""What every source yields: one frame with its landmarks, and its picture where there is one."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

from bharsdk.brief import brief
from bharsdk.closing import Closing, close_aside
from bharsdk.errors import InputError
from bharsdk.landmarks import DEFAULT_ASPECT, Landmarks, check_aspect, check_time
from bharsdk.limits import MAX_PEOPLE

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

    def __repr__(self) -> str:
        return brief(self, image=self.image, timestamp_ms=self.timestamp_ms)


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame of a source.

    timestamp_ms: capture time, milliseconds, 0 to 1e15. people: everyone found, at most 64, empty
    where nobody was; who shows neither body nor hand was not found, and is left out. aspect: width
    / height of what the landmarks are fractions of: that of the people where there are any, else of
    the image. number: how many frames the source gave before it, dropped ones too. capture_ms,
    landmarks_ms: what reading and the landmarker took.

    Raises InputError on more people, and on people of another time or of different aspects: what
    passes can be recorded, and a recording holds all that the recognizer saw.
    """

    timestamp_ms: float
    people: tuple[Landmarks, ...]
    aspect: float = DEFAULT_ASPECT
    image: Image | None = None
    number: int = 0
    capture_ms: float = 0.0
    landmarks_ms: float = 0.0

    def __repr__(self) -> str:
        return brief(
            self,
            number=self.number,
            timestamp_ms=self.timestamp_ms,
            people=len(self.people),
            image=self.image,
        )

    def __post_init__(self) -> None:
        if len(self.people) > MAX_PEOPLE:
            raise InputError(
                f"frame: got {len(self.people)} people, expected at most {MAX_PEOPLE}: let the"
                " landmarker keep the largest"
            )
        check_time(self.timestamp_ms)
        people = tuple(one for one in self.people if one.is_seen)
        object.__setattr__(self, "people", people)
        for one in people:
            if one.timestamp_ms != self.timestamp_ms:
                raise InputError(
                    f"frame: got somebody at {one.timestamp_ms} ms in the frame of"
                    f" {self.timestamp_ms} ms, expected landmarks stamped as their picture"
                )
            if one.aspect != people[0].aspect:
                raise InputError(
                    f"frame: got people of image aspects {people[0].aspect} and {one.aspect},"
                    " expected one for all of a frame"
                )
        if people:
            object.__setattr__(self, "aspect", people[0].aspect)
        check_aspect(self.aspect)

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
    announces, None where it has no end or does not say. interrupt: ends a wait for the next frame,
    if it can be ended, from any thread.
    """

    def __init__(
        self,
        frames: Iterator[Frame],
        close: Callable[[], None] | None = None,
        *,
        fps: float | None = None,
        frame_count: int | None = None,
        interrupt: Callable[[], None] | None = None,
    ) -> None:
        self._frames = frames
        self._close = close
        self._interrupt = interrupt
        self.fps = fps
        self.frame_count = frame_count

    def __repr__(self) -> str:
        return brief(self, fps=self.fps, frame_count=self.frame_count)

    def __iter__(self) -> Iterator[Frame]:
        return self._frames

    def interrupt(self) -> None:
        """End a wait for the next frame soon, if that can be; from any thread."""
        if self._interrupt is not None:
            self._interrupt()

    def close(self) -> None:
        """Release the camera or file. A second call does nothing.

        Ends within a second: ``close`` is left behind, with a warning, if it takes longer.
        """
        self.interrupt()
        close, self._close = self._close, None
        if close is not None:
            close_aside(close, "the source")
