"""What the threads of a pipeline hand to one another, and what is done at its end."""

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
    """What is done with frames, in order, in a thread of its own."""

    def handle(self, frame: Frame) -> T:
        """The result of one frame."""
        ...

    def finish(self) -> T | None:
        """What the end of the source makes certain; also when it was closed before."""
        ...

    def merge_lost_events(self, lost: Sequence[T], result: T) -> T:
        """``result`` with what must not get lost of ``lost``, earlier ones nobody took in time.

        Called by the consumer's thread.
        """
        ...

    def close(self) -> None:
        """Release what it holds; called last, once."""
        ...


@dataclass(frozen=True, eq=False)
class Delivery(Generic[T]):
    """A result as it is handed over.

    age_ms: since the picture arrived. dropped: what was dropped since the last delivery, by cause.
    """

    result: T
    age_ms: float
    dropped: dict[DropCause, int]


@dataclass(frozen=True, eq=False)
class CapturedFrame:
    """A picture under way. arrived_s: when, by the pipeline's clock."""

    number: int
    picture: CapturedImage
    arrived_s: float


@dataclass(frozen=True, eq=False)
class DetectedFrame:
    """A picture with what the landmarker gave for it; None where it has yet to give that.

    begun_s: when it was given to the landmarker.
    """

    captured: CapturedFrame
    begun_s: float
    people: object

    def frame(self, people: Sequence[Landmarks], landmarks_ms: float) -> Frame:
        """The frame that is handled."""
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
    """A result with its picture. captured: None for what the end of the source brought."""

    captured: CapturedFrame | None
    result: T
