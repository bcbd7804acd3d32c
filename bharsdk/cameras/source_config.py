"""How frames get from a source to whoever uses them."""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass

from bharsdk.cameras.picture_folder import DEFAULT_FPS
from bharsdk.errors import InputError
from bharsdk.files.limits import MAX_FPS
from bharsdk.values.brief import brief_config
from bharsdk.values.checks import check_fields

__all__ = ["Backpressure", "SourceConfig"]

MAX_SLOTS = 1000


class Backpressure(enum.Enum):
    """What gives way when a stage is slower than the one before it."""

    LATEST = "latest"
    """Older frames: only the newest one waits. For live sources."""
    DROP_OLDEST = "drop_oldest"
    """The oldest frame of a few that wait."""
    WAIT = "wait"
    """Nothing: the faster stage waits. For files, whose frames are all wanted."""


@dataclass(frozen=True)
class SourceConfig:
    """Back-pressure, staleness, waiting and reconnecting. Raises InputError on values out of range.

    backpressure: None takes LATEST for live sources and WAIT for all others. slots: how many frames
    may wait, for DROP_OLDEST and WAIT. max_age_s: a frame that waited longer than this for its turn
    is dropped, unless the policy is WAIT; ``math.inf`` for none. reconnect_for_s: how long a live
    source that was lost may stay so before it is an error, 0 for an error at once, ``math.inf`` to
    try for ever. retry_s, max_retry_s: pause before the first attempt, and the longest; each is
    twice the one before. max_frames: the source ends after so many, as at its own end.
    folder_fps: pictures a second of a folder of pictures, up to 1000.
    wait_for_source_s: how long to wait at the start for a camera that cannot be opened yet, or a
    file that is not there yet, before it is an error; 0 for an error at once, ``math.inf`` to wait
    for ever. Attempts pause as those to reconnect do.
    """

    backpressure: Backpressure | None = None
    slots: int = 4
    max_age_s: float = 0.5
    reconnect_for_s: float = 30.0
    retry_s: float = 0.1
    max_retry_s: float = 5.0
    max_frames: int | None = None
    folder_fps: float = DEFAULT_FPS
    wait_for_source_s: float = 0.0

    def __post_init__(self) -> None:
        check_fields(self, "source")
        if not 1 <= self.slots <= MAX_SLOTS:
            raise InputError(f"source: got {self.slots} slots, expected 1 to {MAX_SLOTS}")
        if not self.max_age_s > 0 or not self.reconnect_for_s >= 0:
            raise InputError(
                f"source: got max_age_s {self.max_age_s} and reconnect_for_s"
                f" {self.reconnect_for_s}, expected more than 0 and at least 0 seconds"
            )
        if not self.wait_for_source_s >= 0:
            raise InputError(
                f"source: got wait_for_source_s {self.wait_for_source_s}, expected at least 0"
                " seconds"
            )
        if self.max_frames is not None and self.max_frames < 1:
            raise InputError(f"source: got max_frames {self.max_frames}, expected at least 1")
        if not 0 < self.folder_fps <= MAX_FPS:
            raise InputError(
                f"source: got folder_fps {self.folder_fps}, expected above 0, up to {MAX_FPS}"
            )
        if not 0 < self.retry_s <= self.max_retry_s < math.inf:
            raise InputError(
                f"source: got retry_s {self.retry_s} and max_retry_s {self.max_retry_s}, expected"
                " 0 < retry_s <= max_retry_s"
            )

    def __repr__(self) -> str:
        return brief_config(self)

    def policy(self, *, is_live: bool) -> Backpressure:
        """What gives way for a source of that kind."""
        if self.backpressure is not None:
            return self.backpressure
        return Backpressure.LATEST if is_live else Backpressure.WAIT
