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
    """A picture with its capture time.

    Attributes:
        image: uint8 [height, width, 3], BGR.
        timestamp_ms: capture time in milliseconds.
        capture_ms: how long reading and decoding took, in milliseconds.
    """

    image: Image
    timestamp_ms: float
    capture_ms: float = 0.0

    def __repr__(self) -> str:
        return brief(self, image=self.image, timestamp_ms=self.timestamp_ms)


class Pictures(Protocol):
    """Pictures in time order: a camera, a video, a folder. One thread iterates and closes it."""

    @property
    def name(self) -> str:
        """Return a name for messages."""
        ...

    @property
    def is_live(self) -> bool:
        """Return whether pictures come at their own pace."""
        ...

    @property
    def fps(self) -> float | None:
        """Return the nominal frames a second; None where unknown."""
        ...

    @property
    def frame_count(self) -> int | None:
        """Return how many pictures there will be; None where unknown."""
        ...

    def __iter__(self) -> Iterator[CapturedImage]:
        """The pictures. Raises SourceError when a live source is lost."""
        ...

    def interrupt(self) -> None:
        """End any pause between pictures soon. Any thread may call it."""
        ...

    def close(self) -> None:
        """Release the camera or file. A second call does nothing."""
        ...
