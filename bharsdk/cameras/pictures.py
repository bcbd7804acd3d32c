"""Pictures in time order: what a camera, a video and a folder have in common."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from bharsdk.values.brief import brief
from bharsdk.values.image import Image

__all__ = ["CapturedImage", "Pictures"]


@dataclass(frozen=True, eq=False)
class CapturedImage:
    """A picture with its capture time and how long reading and decoding took, milliseconds."""

    image: Image
    timestamp_ms: float
    capture_ms: float = 0.0

    def __repr__(self) -> str:
        return brief(self, image=self.image, timestamp_ms=self.timestamp_ms)


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
