"""What the threads of a pipeline pass to one another, and what handles the frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from bharsdk.cameras.pictures import CapturedImage
from bharsdk.events import DropCause
from bharsdk.landmarks.frame import Frame
from bharsdk.landmarks.landmarks import Landmarks

__all__ = ["CapturedFrame", "Delivery", "DetectedFrame", "HandledFrame", "Handler"]

T = TypeVar("T")


class Handler(Protocol[T]):
    """Turns frames into results, in order, in its own thread."""

    def handle(self, frame: Frame) -> T:
        """Return the result of one frame."""
        ...

    def finish(self) -> T | None:
        """Return the result of the end of the source, or None. Also called after a close."""
        ...

    def merge_lost_events(self, lost: Sequence[T], result: T) -> T:
        """Return ``result`` with the events of ``lost``, the results that were dropped before it.

        The consumer's thread calls it.
        """
        ...

    def close(self) -> None:
        """Release everything. Called last, once."""
        ...


@dataclass(frozen=True, eq=False)
class Delivery(Generic[T]):
    """A result as the consumer gets it.

    age_ms: milliseconds since the picture arrived. dropped: number of frames dropped since the last
    delivery, by cause.
    """

    result: T
    age_ms: float
    dropped: dict[DropCause, int]


@dataclass(frozen=True, eq=False)
class CapturedFrame:
    """A picture under way. arrived_s: time of its arrival, seconds of the pipeline's clock."""

    number: int
    picture: CapturedImage
    arrived_s: float


@dataclass(frozen=True, eq=False)
class DetectedFrame:
    """A picture and the people that the landmarker found; None if it is not done yet.

    begun_s: time when the landmarker got the picture, seconds.
    """

    captured: CapturedFrame
    begun_s: float
    people: object

    def frame(self, people: Sequence[Landmarks], landmarks_ms: float) -> Frame:
        """Return the frame for the handler."""
        picture = self.captured.picture
        height, width = picture.image.shape[:2]
        return Frame(
            picture.timestamp_ms,
            tuple(people),
            width / height,
            picture.image,
            self.captured.number,
            picture.capture_ms,
            landmarks_ms,
        )


@dataclass(frozen=True, eq=False)
class HandledFrame(Generic[T]):
    """A result with its picture. captured: None for the result of the end of the source."""

    captured: CapturedFrame | None
    result: T
