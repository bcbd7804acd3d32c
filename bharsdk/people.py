"""Who is who from frame to frame."""

from __future__ import annotations

from collections.abc import Sequence

from bharsdk.errors import InputError
from bharsdk.landmarks import Landmarks

__all__ = ["PeopleTracker"]


class PeopleTracker:
    """Follows several people. Not there yet: raises InputError."""

    track_ids: tuple[int, ...] = ()

    def __init__(self, max_persons: int) -> None:
        raise InputError(f"people: got max_persons {max_persons}, expected 1")

    def update(self, people: Sequence[Landmarks], timestamp_ms: float) -> dict[int, Landmarks]:
        """Landmarks by track."""
        raise NotImplementedError
