"""What :meth:`bharsdk.Recognizer.run` yields for every frame."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from bharsdk.decode import Event
from bharsdk.landmarks import Landmarks
from bharsdk.sources.frame import Image

__all__ = ["Result", "StageTimes"]


@dataclass(frozen=True)
class StageTimes:
    """Milliseconds that one frame spent in each stage.

    capture: reading and decoding the picture. landmarks: the landmarker. features, action: model
    input and model, 0 on frames between two hops. decode: window and decoder.
    """

    capture_ms: float = 0.0
    landmarks_ms: float = 0.0
    features_ms: float = 0.0
    action_ms: float = 0.0
    decode_ms: float = 0.0

    @property
    def own_ms(self) -> float:
        """What bharsdk itself took: features, action and decode."""
        return self.features_ms + self.action_ms + self.decode_ms

    @property
    def total_ms(self) -> float:
        """All stages."""
        return self.capture_ms + self.landmarks_ms + self.own_ms

    def to_dict(self) -> dict[str, float]:
        """Plain JSON values: each stage, and ``total_ms``."""
        return {**asdict(self), "total_ms": self.total_ms}


@dataclass(frozen=True, eq=False)
class Result:
    """One frame of a source, and what the recogniser knows at that moment.

    timestamp_ms: capture time, milliseconds. frame: its number, from 0. label, score: the sign that
    is going on and its smoothed probability; None and 0 while there is none. events: what started
    or ended with this frame. image: the picture, uint8 BGR [height, width, 3], where the source has
    one. is_final: the source ended; the last frame again, with the events that its end brought.
    """

    timestamp_ms: float
    frame: int
    landmarks: Landmarks
    label: str | None
    score: float
    events: tuple[Event, ...]
    stages: StageTimes = field(default_factory=StageTimes)
    image: Image | None = field(default=None, repr=False)
    is_final: bool = False

    def plot(self, image: Image | None = None) -> Image:
        """A copy of ``image`` (default: the frame's own) with landmarks, label and events drawn.

        Without any picture, draws on black. Needs OpenCV (the extra ``camera``).
        """
        from bharsdk.draw import draw_result

        return draw_result(self, self.image if image is None else image)

    def to_dict(self) -> dict[str, Any]:
        """Plain JSON values; landmarks and picture are left out."""
        return {
            "timestamp_ms": self.timestamp_ms,
            "frame": self.frame,
            "label": self.label,
            "score": self.score,
            "events": [event.to_dict() for event in self.events],
            "stages": self.stages.to_dict(),
        }
