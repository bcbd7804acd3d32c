"""Where a person is in a picture."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bharsdk.landmarks.landmarks import Landmarks

__all__ = ["Box"]


@dataclass(frozen=True)
class Box:
    """An upright rectangle, in fractions of image width and height from the left and the top."""

    left: float
    top: float
    right: float
    bottom: float

    @classmethod
    def around(cls, landmarks: Landmarks) -> Box | None:
        """Return the box of all found joints, within the image; None if there are none."""
        points = np.concatenate([landmarks.body[:, :2], landmarks.hands.reshape(-1, 3)[:, :2]])
        points = points[~np.isnan(points).any(axis=1)]
        if not len(points):
            return None
        (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
        return cls(*(float(np.clip(x, 0.0, 1.0)) for x in (left, top, right, bottom)))

    def holds(self, point: tuple[float, float]) -> bool:
        """Return whether ``point``, x and y, lies inside."""
        x, y = point
        return self.left <= x <= self.right and self.top <= y <= self.bottom
